"""Compares compiled operators with Paddle's own: outputs and gradients."""

from __future__ import annotations

import numpy as np
import paddle

from models.layers import operators

TOLERANCE = 2e-6  # of the largest value


def _both(
    function, *shapes: list[int], frozen: tuple[int, ...] = (), parameters=()
) -> list[list[np.ndarray]]:
    """Returns outputs and gradients of inputs: of compiled operators, and of Paddle's."""
    found, rng = [], np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    for context in (paddle.enable_grad, operators.plain):
        inputs = [
            paddle.to_tensor(array, stop_gradient=place in frozen)
            for place, array in enumerate(arrays)
        ]
        paddle.seed(3)
        with context():
            outputs = function(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            rng = np.random.default_rng(1)
            weights = [
                paddle.to_tensor(rng.standard_normal(output.shape).astype(np.float32))
                for output in outputs
            ]
            sum((output * weight).sum() for output, weight in zip(outputs, weights)).backward()
        gradients = [
            None if tensor.grad is None else tensor.grad.numpy()
            for tensor in (*inputs, *parameters)
        ]
        for parameter in parameters:
            parameter.clear_gradient(set_to_zero=False)
        found.append([output.numpy() for output in outputs] + gradients)
    return found


def agree(function, *shapes: list[int], frozen: tuple[int, ...] = (), parameters=()) -> None:
    """Checks that outputs and gradients of both are the same, except for rounding."""
    fast, plain = _both(function, *shapes, frozen=frozen, parameters=parameters)
    for own, expected in zip(fast, plain):
        assert (own is None) == (expected is None)
        if own is not None:
            np.testing.assert_allclose(
                own, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max()
            )
