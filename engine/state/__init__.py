"""What survives a kill: the progress of a run, its checkpoints, its averages, its weights files."""
