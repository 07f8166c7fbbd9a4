"""What a run will be, before it starts: its length, its memory, its micro-batch, its start
lines.
"""
