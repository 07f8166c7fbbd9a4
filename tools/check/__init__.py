"""The page of `tools.check_data`."""
