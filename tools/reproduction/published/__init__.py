"""What was published, as data: figures with their sources, data sets, and the cost of a run."""
