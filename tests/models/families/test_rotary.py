"""Rotary positions: pairs of channels as complex numbers, which are turned by angles by hand."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from models.families.rotary import Rotary

_GRID, _PREFIX, _CHANNELS = (2, 4), 3, 8
# The angle of the patch in row 1, column 2 by row and column; the second pair of each turns slower.
_ANGLES = {
    "eva": (8.0, 8.0),  # as on a grid of 16 x 16
    "dinov3": (math.pi, math.pi / 2),  # its middle is at 1/2, 1/4 of -1 to 1, times 2 pi
    "axial": (1.0, 2.0),
}
_SLOWER = {"eva": 100.0, "dinov3": 10.0, "axial": 10.0}  # the root of the base


def _drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("theta", [0.0, 49.0])
@pytest.mark.parametrize("kind", _ANGLES)
def test_by_complex_numbers(kind, theta):
    x = _drawn(2, 5, _PREFIX + 8, _CHANNELS)  # (H, B, N, channels)
    found = Rotary(kind, _GRID, _CHANNELS, _PREFIX, theta)(paddle.to_tensor(x), 2).numpy()
    assert (found[:, :, :_PREFIX] == x[:, :, :_PREFIX]).all()
    row, column = _ANGLES[kind]
    first, second = (column, row) if kind == "axial" else (row, column)
    slower = math.sqrt(theta) or _SLOWER[kind]
    angles = np.array([first, first / slower, second, second / slower])
    place = _PREFIX + 1 * _GRID[1] + 2
    before, after = (_complex(one[:, :, place], kind) for one in (x, found))
    np.testing.assert_allclose(after, before * np.exp(1j * angles), rtol=0, atol=2e-6)


def _complex(x: np.ndarray, kind: str) -> np.ndarray:
    """Returns the pairs of channels: halves of a head for DINOv3, else neighbours."""
    real, imaginary = np.split(x, 2, -1) if kind == "dinov3" else (x[..., ::2], x[..., 1::2])
    return real + 1j * imaginary


@pytest.mark.parametrize("kind", _ANGLES)
def test_a_product_depends_on_the_distance(kind):
    rotary = Rotary(kind, (16, 16), _CHANNELS, 0)
    q, k = (paddle.to_tensor(np.tile(_drawn(1, _CHANNELS) + i, (256, 1))) for i in range(2))
    q, k = (rotary(one.reshape([1, 1, 256, _CHANNELS]), 2) for one in (q, k))
    products = paddle.matmul(q, k, transpose_y=True)
    products = products.reshape([16, 16, 16, 16]).numpy()  # row and column of q, of k
    np.testing.assert_allclose(products[1:, :-2, 1:, :-2], products[:-1, 2:, :-1, 2:], atol=2e-4)
    assert products.std() > 0.1


def test_tokens_on_either_axis_and_the_first_of_them():
    rotary, x = Rotary("dinov3", _GRID, _CHANNELS, 1), paddle.to_tensor(_drawn(2, 9, 3, _CHANNELS))
    found = rotary(x, 1)  # (B, N, H, channels)
    other = rotary(x.transpose([2, 0, 1, 3]), 2)
    np.testing.assert_array_equal(found.transpose([2, 0, 1, 3]).numpy(), other.numpy())
    np.testing.assert_array_equal(rotary(x[:, :4], 1).numpy(), found[:, :4].numpy())
    half = rotary(x.astype("bfloat16"), 1)
    assert half.dtype == paddle.bfloat16
    np.testing.assert_allclose(half.astype("float32").numpy(), found.numpy(), atol=0.05)


def test_nothing_of_it_is_stored():
    assert not Rotary("eva", _GRID, _CHANNELS, 1).state_dict()
