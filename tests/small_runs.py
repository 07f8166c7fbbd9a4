"""Small finished runs, as fixtures; their classes have names in Chinese, emoji and HTML."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from configs import default
from engine.commands import single_run
from report import looks, runs

CLASSES = ("<b>&cat", "狗", "🐱$x_1")


class Made(NamedTuple):
    """The folder of the images, and the folders of the runs by their names."""

    data: Path
    folders: dict[str, Path]


def draw_images(root: Path, train: int = 8, test: int = 5) -> Path:
    """Writes images that a model can tell apart by their colour, with some noise."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for label, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 150, (20, 18, 3))
                pixels[..., label] += 60
                path = root / part / name / f"{number} <i>图.png"
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def run_config(data: Path, **fields):
    """Returns the config of a run of a second, with validation images."""
    config = default.get_config()
    config.data.update(name="folder", root=str(data), crop_scale=(0.5, 1.0), holdout=0.25)
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.lr = 3e-3
    config.train.update(steps=20, batch_size=9, log_every_steps=5)
    config.eval.every_steps = 10
    config.update_from_flattened_dict(fields)
    return config


@pytest.fixture(scope="session")
def small_runs(tmp_path_factory) -> Made:
    """Two seeds with R-Drop, two with cross-entropy."""
    above = tmp_path_factory.mktemp("runs")
    data = draw_images(above / "data")
    folders = {}
    for name, copies in (("rdrop", 2), ("ce", 1)):
        for seed in (0, 1):
            folder = above / name / f"seed_{seed}"
            config = run_config(data, **{"seed": seed, "rdrop.copies": copies})
            single_run.train(config, folder)
            folders[f"{name}_{seed}"] = folder
    return Made(data, folders)


@pytest.fixture(scope="session")
def small_run(small_runs) -> runs.Run:
    """The first run."""
    return runs.read_all([small_runs.folders["rdrop_0"]])[0]


@pytest.fixture(scope="session")
def small_look(small_run) -> looks.Look:
    """What its model says to the test images."""
    return looks.look(small_run)
