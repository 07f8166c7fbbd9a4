"""What `tools.noise` measures and shows: `study`, `text`, `picture`, and the experiments."""
