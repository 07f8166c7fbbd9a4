"""What runs before Paddle is loaded: the command line, the config, the folder of a run, signals."""
