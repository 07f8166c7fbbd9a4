"""How much of a model's features survives its noise, by place and rate, before any training.

`places.py` says where the noise is, `passes.py` runs images with and without it, `bench.py`
measures, `start.py` is the rule at the start of a run.
"""
