"""What comes out of a run: evaluation, training metrics, logs, curves, tables."""
