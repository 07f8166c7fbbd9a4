"""Compiled versions of what `models/layers/operators.py` defines, for float32 on a CPU.

`single_operators.py` has single operators and `branches.py` whole residual branches, each with a
written gradient. Both turn Paddle's tensors into arrays and share the work among threads.

The loops are in `row_loops.py` and `activation_loops.py` (parts), and in `mlp_loops.py`,
`attention_loops.py` and `talking_loops.py` (one kind of branch each). Between reading the input of
a branch and writing its output, all values stay in the processor's cache. The files are best read
next to `models/layers/operators.py` and the layers.
"""
