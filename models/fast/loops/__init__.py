"""Compiled loops: parts (`rows`, `activations`, `shared`), and one file for each kind of branch.

Between reading the input of a branch and writing its output, all values stay in the processor's
cache. `bfloat16` rounds the operands of matrix products, `blas` calls the libraries that multiply.
"""
