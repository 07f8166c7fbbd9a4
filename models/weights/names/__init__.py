"""How other libraries name and lay out their arrays, and the way to ours."""
