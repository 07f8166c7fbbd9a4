"""The config of a run: its fields, the files that set them, and which values are allowed."""
