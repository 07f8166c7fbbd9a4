"""Experiments: `default.py` has every field of a config; each other file changes what differs."""
