"""The experiments: each drops what its name says, and nothing else."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from tools.survival import variants

_RATE = 0.5


def _outputs(array):
    found = variants.Outputs()
    found.add(array[:3])
    found.add(array[3:])
    return found


@pytest.fixture
def array():
    """Outputs `(B, N, D)` whose channel 7 is large, and nearly the same everywhere."""
    values = np.random.default_rng(0).normal(size=(10, 4, 100))
    values[..., 7] += 30
    return values


def _changed(kind, array, known):
    paddle.seed(0)
    x = paddle.to_tensor(array.astype(np.float32))
    return (variants._noise_of(kind, _outputs(known), _RATE)(None, (), x) - x).numpy()


def test_sizes(array):
    outputs = _outputs(array)
    assert outputs.mean == pytest.approx(array.mean(axis=0))
    assert outputs.square == pytest.approx((array**2).mean(axis=0))
    assert outputs.largest == np.abs(array).max()
    assert np.flatnonzero(outputs.large()).tolist() == [7]
    sizes = variants._sizes(outputs)
    energy = (array**2).sum()
    assert sizes["of_large"] == pytest.approx((array[..., 7] ** 2).sum() / energy)
    means = array.mean(axis=(0, 1))
    assert sizes["of_means"] == pytest.approx((means**2).sum() * 40 / energy)
    assert sizes["of_token_means"] == pytest.approx((array.mean(axis=0) ** 2).sum() * 10 / energy)


def test_usual_dropout(array):
    changed = _changed("usual dropout", array, array)
    x = array.astype(np.float32)
    dropped = np.isclose(changed, -x)
    assert np.isclose(changed, x).mean() == pytest.approx(1 - _RATE, abs=0.05)  # twice as large
    assert dropped.mean() == pytest.approx(_RATE, abs=0.05)


def test_what_is_left_out(array):
    only = _changed("the large channels only", array, array)
    others = _changed("all but the large channels", array, array)
    assert (only[..., np.arange(100) != 7] == 0).all()
    assert (only[..., 7] != 0).all()
    assert (others[..., 7] == 0).all()
    assert (others[..., np.arange(100) != 7] != 0).any()


def test_kept_means(array):
    """Outputs that are their means are left alone; others get noise of the rest's size."""
    channels = np.broadcast_to(array.mean(axis=(0, 1)), array.shape)
    tokens = np.broadcast_to(array.mean(axis=0), array.shape)
    kinds = "means of the channels kept", "means of tokens and channels kept"
    assert np.abs(_changed(kinds[0], channels, array)).max() < 1e-4
    assert np.abs(_changed(kinds[1], tokens, array)).max() < 1e-4
    assert np.abs(_changed(kinds[0], tokens, array)).max() > 0.1
    for kind in kinds:
        assert np.abs(_changed(kind, array, array)[..., 7]).max() < 10  # usual dropout: 30
