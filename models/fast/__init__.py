"""The second form of what `models/layers/operators.py` defines: compiled loops with written
gradients, for float32 on a CPU.

`operators.py` has single operators and `branches.py` whole residual branches; both bring Paddle's
tensors to the loops and back, and share them out to threads. The loops are in `rows.py` and, one
kind of branch each, in `*_loops.py`: there all that happens between reading a branch's input and
writing its output happens in the processor's cache. They read best beside
`models/layers/operators.py` and the layers.
"""
