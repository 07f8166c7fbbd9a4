"""How a reproduction works: its programs, its state, what it downloads or makes up."""
