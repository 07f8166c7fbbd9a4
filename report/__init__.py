"""Pages of runs, to look at in a browser."""
