"""The output of a frozen body, computed once for an image: whether, and the cache."""
