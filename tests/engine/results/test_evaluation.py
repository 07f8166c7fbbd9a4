"""Counts against numbers worked out in another way."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import data
from configs import default
from engine.results.evaluation import Counter, evaluate
from measures.calibration import BINS
from models.input_images import normalise


def _result(logits, labels, batch=7):
    counter = Counter()
    for begin in range(0, len(labels), batch):
        counter.add(logits[begin : begin + batch], labels[begin : begin + batch])
    return counter.result(1.0)


def test_against_a_slow_loop():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 2, (100, 8)), rng.integers(0, 8, 100)
    found = _result(logits, labels)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    top1 = probs.argmax(1) == labels
    top5 = [label in row.argsort()[-5:] for row, label in zip(probs, labels)]
    confidence, ece = probs.max(1), 0.0
    for number in range(BINS):
        inside = (confidence > number / BINS) & (confidence <= (number + 1) / BINS)
        if inside.any():
            ece += inside.mean() * abs(top1[inside].mean() - confidence[inside].mean())
    expected = (top1.mean(), np.mean(top5), -np.log(probs[np.arange(100), labels]).mean(), ece)
    np.testing.assert_allclose(found[:4], expected, rtol=1e-9)
    assert found.seen == 100


def test_by_hand():
    """Two images, both with confidence 3/4: one right, one wrong."""
    logits = np.log(np.array([[0.75, 0.25], [0.75, 0.25]]))
    found = _result(logits, np.array([0, 1]))
    np.testing.assert_allclose(found[:4], [0.5, 1.0, -0.5 * np.log(0.75 * 0.25), 0.25])


def test_unreadable_images_and_numbers():
    logits = np.array([[1.0, 0.0], [np.nan, 0.0], [0.0, 1.0]])
    found = _result(logits, np.array([0, 0, data.UNREADABLE]))
    assert (found.top1, found.top5, found.seen, found.skipped) == (0.5, 0.5, 2, 1)


def test_constant_logits_are_not_all_hits():
    assert _result(np.zeros((10, 10)), np.arange(10)).top1 == pytest.approx(0.1)


def test_normalise():
    config = default.get_config().model
    config.mean, config.std = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
    pixels = paddle.to_tensor(np.array([0, 255, 51], np.uint8).reshape(1, 3, 1, 1))
    np.testing.assert_allclose(normalise(pixels, config).numpy().ravel(), [-1, 3, 0.2], rtol=1e-6)


@pytest.mark.parametrize("batch", [1, 64, 500])
def test_every_batch_size_gives_the_same(batch):
    config = default.get_config()
    config.data.update(name="digits", eval_crop=1.0)
    config.model.update(image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    config.eval.batch_size = batch
    dataset = data.build(config, "test")

    class Brightness(paddle.nn.Layer):
        def forward(self, images):
            return images.mean(axis=1).flatten(1)[:, 20:30] * 10  # (B, 10) from ten pixels

    model = Brightness()
    model.train()
    found = evaluate(model, dataset, config)
    assert model.training
    assert found.seen == 500
    pixels = dataset.source.images[..., 0].reshape(500, 64)[:, 20:30]
    assert found.top1 == (pixels.argmax(axis=1) == dataset.source.labels).mean()
