"""The page of `tools.check_data`, and its progress."""
