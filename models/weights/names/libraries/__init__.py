"""The names of arrays in each library: one table in one file each."""
