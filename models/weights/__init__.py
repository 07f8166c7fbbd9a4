"""Pretrained weights: where they come from, their formats and names, and fitting them to a
model.
"""
