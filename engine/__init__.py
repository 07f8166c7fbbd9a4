"""The trainer and what it stands on: steps, plans, checkpoints, evaluation, several processes."""
