"""The parts of the page: each takes what is known and returns HTML and charts."""
