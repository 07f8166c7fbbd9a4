"""The names and layouts of arrays in other libraries, and their conversion to ours."""
