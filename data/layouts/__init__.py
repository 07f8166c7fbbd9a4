"""Which image is in which part and class: read off class folders, lists or tables.

`find.py` decides which of these a tree of files has, `found.py` is what they all return.
"""
