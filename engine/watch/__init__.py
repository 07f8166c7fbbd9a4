"""What can go wrong in a run: refused starts, warnings, numbers that are not finite, ranks that
differ.
"""
