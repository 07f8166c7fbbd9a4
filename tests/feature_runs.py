"""Runs with a frozen body, whose features are cached, and what they leave."""

from __future__ import annotations

import numpy as np
import pytest

from common.safetensors_files import read_safetensors
from configs import default
from engine.commands import single_run
from engine.results import metrics_reader
from models.multipass import MultiPass
from program import exits
from program.signals import StopRequest

_TIMES = ("seconds", "images_per_second")
VIEWS = {"data.crop": "random_resized", "data.flip": 0.5, "data.views": 2}
RDROP = {
    "model.trainable": "head_and_norm",
    "model.drop_rate": 0.1,
    "rdrop.copies": 2,
    "rdrop.shared_blocks": 2,
}
LAUNCHED = {
    **RDROP,
    **VIEWS,
    "data.max_images": 29,
    "eval.batch_size": 4,
    "train.steps": 12,
    "train.log_every_steps": 1,
}


def small_config(painted):
    """29 training and 7 held-out images of three classes, over four epochs; nothing is random."""
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), holdout=0.2, crop="test", flip=0.0)
    config.model.update(name="vit_n_8", image_size=16, trainable="head")
    config.rdrop.copies = 1
    config.optim.update(lr=3e-2, warmup_steps=3)
    config.train.update(
        steps=12, batch_size=5, accumulation_steps=2, log_every_steps=1, checkpoint_every_steps=5
    )
    config.eval.update(every_steps=4, batch_size=8)
    return config


def disk_config(painted):
    """Two views, with noise behind them, and memory for none of it."""
    config = small_config(painted)
    config.update_from_flattened_dict({**RDROP, **VIEWS, "train.cache_disk_gb": 0.1})
    config.train.update(steps=20, cache_gb=1e-9)
    return config


def watched_rows(monkeypatch) -> list[int]:
    """Returns a list that gets the number of images of each pass through `embed`.

    Every body begins there.
    """
    found: list[int] = []
    begin = MultiPass.forward

    def features(self, images):
        found.append(len(images))
        with self._operators(), self._precision():
            return self._front(images)

    def forward(self, images, copies=1, cached=False):
        if not cached:
            found.append(len(images))
        return begin(self, images, copies, cached)

    monkeypatch.setattr(MultiPass, "features", features)
    monkeypatch.setattr(MultiPass, "forward", forward)
    return found


class StopAfter(StopRequest):
    """Stops after so many steps."""

    def __init__(self, steps: int):
        super().__init__()
        self._steps = steps

    def agreed(self) -> bool:
        self._steps -= 1
        return self._steps == 0


def run(config, folder, **fields):
    """Returns the weights and the records of a run."""
    config = config.copy_and_resolve_references()
    config.unlock()
    config.update_from_flattened_dict(fields)
    assert single_run.train(config, folder) == exits.DONE
    return outcome(folder)


def outcome(folder):
    records = [
        {name: value for name, value in record.items() if name not in _TIMES}
        for record in metrics_reader.read_metrics(folder)
    ]
    return read_safetensors(folder / "weights.safetensors")[0], records


def assert_close(found, expected) -> None:
    """To rounding: the batches of a matrix product differ."""
    assert len(found[1]) == len(expected[1])
    for record, other in zip(found[1], expected[1]):
        assert record.keys() == other.keys()
        for name, value in other.items():
            exact = isinstance(value, str) or value is None
            assert record[name] == (value if exact else pytest.approx(value, rel=1e-5, abs=1e-5))
    for name, array in expected[0].items():
        np.testing.assert_allclose(found[0][name], array, rtol=1e-5, atol=1e-5, err_msg=name)
