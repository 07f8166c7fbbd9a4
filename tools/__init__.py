"""Programs in addition to training: `python -m tools.NAME --help`."""
