"""Pretrained weights: their sources, formats and names, and fitting them to a model."""
