"""From a published figure to a verdict: what was published, what a run needs, its stages."""
