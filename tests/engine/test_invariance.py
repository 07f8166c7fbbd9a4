"""However a batch is cut into micro-batches, its loss and its gradients are the same to
rounding.
"""

from __future__ import annotations

import itertools

import numpy as np
import paddle
import pytest

import models
from configs import default
from engine.step.optimizer import Optimizer
from losses import PRESETS, RDropLoss

_IMAGES = 12
_PER_SAMPLE = [preset for preset, form in PRESETS.items() if not form.kl_sum]


def _step(sizes: list[int], loss: RDropLoss, seed: int = 0) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradients of a model with dropout on 12 images, in micro-batches of these sizes."""
    paddle.seed(1)
    model = models.create(
        "vit_n_2", num_classes=5, drop_rate=0.2, drop_path_rate=0.2, attn_drop_rate=0.1
    )
    optimizer = Optimizer(model, default.get_config().optim, 1)
    rng = np.random.default_rng(seed)
    images = paddle.to_tensor(rng.normal(0, 1, (_IMAGES, 3, 8, 8)).astype("float32"))
    labels = paddle.to_tensor(rng.integers(0, 5, _IMAGES))
    total = 0.0
    for end, size in zip(itertools.accumulate(sizes), sizes):
        paddle.seed(2)
        with models.batch_rows(range(end - size, end)):
            terms = loss(model(images[end - size : end], copies=2), labels[end - size : end])
        optimizer.accumulate(
            terms.total * (size / _IMAGES)
        )  # its share of the mean over all samples
        total += terms.total.item() * size / _IMAGES
    return total, {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    "sizes", [[6, 6], [3, 3, 3, 3], [1] * 12, [5, 5, 2], [8, 4], [11, 1]], ids=str
)
@pytest.mark.parametrize("preset", _PER_SAMPLE)
def test_any_micro_batches_and_a_short_last_one(preset, sizes):
    loss = RDropLoss(alpha=3.0, preset=preset)
    (total, gradients), (expected, joint) = _step(sizes, loss), _step([_IMAGES], loss)
    assert total == pytest.approx(expected, rel=1e-6)
    largest = max(np.abs(gradient).max() for gradient in joint.values())
    for name, gradient in joint.items():
        np.testing.assert_allclose(gradients[name], gradient, atol=1e-6 * largest, err_msg=name)


@pytest.mark.parametrize("preset", sorted(PRESETS.keys() - _PER_SAMPLE))
def test_published_sums_depend_on_the_micro_batch(preset):
    """Why the default is a mean: here the same alpha is another objective once the batch is cut."""
    loss = RDropLoss(alpha=3.0, preset=preset)
    assert _step([6, 6], loss)[0] != pytest.approx(_step([_IMAGES], loss)[0], rel=1e-3)


def test_the_masks_do_the_work():
    """With other masks for the second half the gradients differ: the tests above can fail."""
    loss = RDropLoss(alpha=3.0)
    paddle.seed(1)
    expected = _step([_IMAGES], loss)[1]["blocks.0.mlp.fc1.weight"]
    original = models.batch_rows
    try:
        models.batch_rows = lambda rows: original(range(len(rows)))
        found = _step([6, 6], loss)[1]["blocks.0.mlp.fc1.weight"]
    finally:
        models.batch_rows = original
    assert not np.allclose(found, expected, atol=1e-3 * np.abs(expected).max())
