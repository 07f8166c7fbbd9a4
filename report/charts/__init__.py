"""Charts: what is drawn (`model.py`), on a page (`plotly_figures.py`), on paper (`static.py`)."""
