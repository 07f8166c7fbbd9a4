"""File formats of weights: safetensors, pickles of Paddle and PyTorch, npz."""
