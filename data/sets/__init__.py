"""Where images and labels come from: one file for each data set, listed in `registry.py`.

A new data set is a file here with `load(data_config, part)`, which returns `ImagesAndLabels`
(`data/images/images_and_labels.py`), and one line in `registry.py`. It can be built from the lists
and the decoder of `data/images/`, and from the readers of `common/` for zip, tar, text and JSON
files, which are safe with the files of strangers.
"""
