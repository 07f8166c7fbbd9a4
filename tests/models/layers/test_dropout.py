"""Dropout and drop path: rates, independence, repetition from a seed, and off means off."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from models.layers.dropout import Dropout, DropPath
from models.layers.dropout_masks import batch_copies, batch_rows, keep_mask


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_rate_and_mean(rate):
    paddle.seed(1)
    y = Dropout(rate)(paddle.ones([1000, 1000])).numpy()
    assert (y == 0).mean() == pytest.approx(rate, abs=5 * (rate * (1 - rate) / 1e6) ** 0.5)
    assert y.mean() == pytest.approx(1, abs=5 * (rate / (1 - rate) / 1e6) ** 0.5)
    assert len(np.unique(y)) == 2


def test_calls_differ_and_seeds_repeat():
    paddle.seed(7)
    first, second = (keep_mask([64, 64], 0.3).numpy() for _ in range(2))
    paddle.seed(7)
    assert (keep_mask([64, 64], 0.3).numpy() == first).all()
    assert (first == second).mean() < 0.75  # independent masks agree in 0.58 of the places


def test_gradient_has_the_same_mask():
    paddle.seed(0)
    x = paddle.ones([50, 50])
    x.stop_gradient = False
    y = Dropout(0.4)(x)
    y.sum().backward()
    assert (x.grad.numpy() == y.numpy()).all()


def test_drop_path_drops_whole_samples():
    paddle.seed(0)
    y = DropPath(0.25)(paddle.ones([4000, 3, 2])).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (y.reshape(4000, -1).std(axis=1) == 0).all()
    assert (y[:, 0, 0] == 0).mean() == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("layer", [Dropout(0.5), DropPath(0.5)])
def test_evaluation_is_untouched(layer):
    x = paddle.randn([8, 4])
    layer.eval()
    assert layer(x) is x


def test_random_layers_knows_ours_and_the_libraries():
    noisy = paddle.nn.Sequential(
        paddle.nn.Dropout(0.1), paddle.nn.Dropout(0.0), Dropout(0.2), DropPath(0.0)
    )
    assert models.random_layers(noisy) == ["0", "2"]
    assert models.random_layers(models.create("vit_n_2", drop_rate=0.0)) == []
    assert models.random_layers(models.create("vit_n_2", drop_path_rate=0.1))


def _rows(axis: int, copies: int, *rows: range) -> np.ndarray:
    """Returns the mask of some rows of a batch: 3 heads, 5 entries of 6 elements for each image."""
    paddle.seed(5)
    shape = [3, 6] if axis else [6]
    shape.insert(axis, copies * 5 * sum(map(len, rows)))
    with batch_rows(*rows), batch_copies(range(copies)):
        return keep_mask(shape, 0.5, axis).numpy()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("copies", [1, 2, 3])
def test_parts_of_a_batch_have_the_masks_of_the_whole(axis, copies):
    """An image's mask depends only on the copy and on its place in the whole batch."""
    whole = np.split(_rows(axis, copies, range(8)), copies, axis)
    for parts in ([range(4), range(4, 8)], [range(1), range(1, 6), range(6, 8)]):
        found = [np.split(_rows(axis, copies, part), copies, axis) for part in parts]
        for copy in range(copies):
            joined = np.concatenate([part[copy] for part in found], axis)
            assert (joined == whole[copy]).all()
    both = np.split(_rows(axis, copies, range(2, 4), range(7, 8)), copies, axis)
    for copy in range(copies):
        expected = np.concatenate([np.split(whole[copy], 8, axis)[row] for row in (2, 3, 7)], axis)
        assert (both[copy] == expected).all()


def test_images_and_copies_have_independent_masks():
    paddle.seed(6)
    with batch_copies(range(2)), batch_rows(range(1, 3)):
        masks = keep_mask([4, 4096], 0.5).numpy()  # two copies of two images
    for i in range(4):
        for j in range(i):
            assert (masks[i] == masks[j]).mean() == pytest.approx(0.5, abs=0.04)


def test_a_rate_for_each_copy():
    paddle.seed(7)
    with batch_copies(range(2)):
        y = Dropout((0.1, 0.6))(paddle.ones([2, 100_000])).numpy()
    assert (y == 0).mean(axis=1) == pytest.approx([0.1, 0.6], abs=0.01)
    assert y.mean(axis=1) == pytest.approx([1, 1], abs=0.02)
    single = keep_mask([1, 100_000], (0.1, 0.6)).numpy()
    assert (~single).mean() == pytest.approx(0.1, abs=0.01)


def test_more_copies_than_rates():
    with batch_copies(range(3)), pytest.raises(ValueError, match="3 copies, but drop rates for 2"):
        keep_mask([3, 2], (0.1, 0.2))


def test_a_rate_that_rounds_to_nothing_is_no_noise():
    assert not Dropout(1e-6).active
    assert Dropout(1e-4).active


def test_a_batch_that_is_not_what_was_announced():
    with (
        batch_rows(range(3)),
        pytest.raises(ValueError, match="a batch of 4 is not 1 copies of 3 images"),
    ):
        keep_mask([4, 2], 0.5)
