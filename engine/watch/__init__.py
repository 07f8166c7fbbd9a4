"""Finds trouble: refused starts, warnings, numbers that are not finite, ranks that differ."""
