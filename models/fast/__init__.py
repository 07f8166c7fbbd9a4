"""Compiled versions of what `models/layers/operators.py` defines, for float32 on a CPU.

`single_operators.py` has single operators and `branches.py` whole residual branches, each with a
written gradient. Both turn Paddle's tensors into arrays and share the work among threads. The loops
are in `loops/`. The files are best read next to `models/layers/operators.py` and the layers.
"""
