"""Where images and labels come from: one file for each data set, listed in `registry.py`."""
