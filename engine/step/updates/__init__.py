"""Optimisers that Paddle lacks, or that are faster than its own."""
