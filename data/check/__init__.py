"""Reads every image of a data set, and finds what spoils a result: `tools/check_data.py`.

`scan.py` reads the images in threads, `duplicates.py` compares them, `facts.py` puts together what
is known, and `findings.py` says what is wrong with it and what to do.
"""
