"""The trainer and what it stands on: configs, the run's folder, checkpoints, evaluation, several
processes.
"""
