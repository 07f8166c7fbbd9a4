"""The code in the README runs as it stands there."""

from __future__ import annotations

import re

import numpy as np
import paddle
import pytest
from conftest import ROOT

import models
from losses import RDropLoss

_BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)


class _Images(paddle.io.Dataset):
    """Labels are numbers, or in a column as in some of Paddle's data sets."""

    def __init__(self, column: bool):
        super().__init__()
        self.column = column

    def __len__(self) -> int:
        return 128

    def __getitem__(self, index: int):
        image = np.random.default_rng(index).normal(index % 10, 1, (3, 8, 8)).astype("float32")
        return image, np.array([index % 10] if self.column else index % 10, np.int64)


def test_a_plain_loop():
    model = paddle.nn.Sequential(
        paddle.nn.Flatten(), paddle.nn.Dropout(0.2), paddle.nn.Linear(192, 10)
    )
    images, labels = paddle.randn([4, 3, 8, 8]), paddle.to_tensor([0, 1, 2, 3])
    names = {
        "model": model,
        "images": images,
        "labels": labels,
        "paddle": paddle,
        "RDropLoss": RDropLoss,
    }
    exec(_BLOCKS[0], names)
    assert names["kl"].item() > 0
    assert names["total"].item() == pytest.approx(names["ce"].item() + names["kl"].item(), rel=1e-6)
    assert model[2].weight.grad.abs().max().item() > 0


@pytest.mark.parametrize("column", [False, True])
def test_paddle_model(column):
    """The loss that fit reports is the total alone, and evaluation takes a single pass."""
    paddle.seed(0)
    names = {"dataset": _Images(column), "paddle": paddle, "models": models, "RDropLoss": RDropLoss}
    exec(_BLOCKS[1].replace("epochs=2", "epochs=2, verbose=0"), names)
    dataset = names["dataset"]
    images, labels = (
        paddle.to_tensor(np.stack(values)) for values in zip(*(dataset[i] for i in range(64)))
    )
    names["model"].network.eval()
    expected = RDropLoss()(names["model"].network(images), labels).ce.item()
    report = names["model"].evaluate(paddle.io.Subset(dataset, range(64)), batch_size=64, verbose=0)
    assert float(np.ravel(report["loss"])[0]) == pytest.approx(expected, rel=1e-5)
