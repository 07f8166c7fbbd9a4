"""What the files beside weights say of them: the images that they expect, and their model."""
