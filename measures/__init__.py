"""What is measured of predictions: pure functions of arrays. Its files are imported one by one."""
