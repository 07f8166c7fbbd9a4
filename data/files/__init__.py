"""Where the bytes of image files lie: folders, zip and tar archives, without traces of systems.

`open_tree.py` opens any of them as a `FileTree`, a list of names with their files.
"""
