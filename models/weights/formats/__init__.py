"""The formats of weights files: named arrays, read without running code from the files."""
