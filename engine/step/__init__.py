"""One optimiser step: its images, its noise, its objective, its optimiser."""
