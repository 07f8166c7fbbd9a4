"""Whole jobs: what `main.py`, `val.py` and the tools start."""
