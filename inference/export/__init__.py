"""Trained weights as files that run without this project: Paddle inference models and ONNX."""
