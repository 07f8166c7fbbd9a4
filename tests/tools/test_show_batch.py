"""The picture of a batch: what goes into the model, with the targets in words, for any field."""

from __future__ import annotations

import numpy as np
import paddle
from conftest import run_program
from PIL import Image

import data
from configs import default
from data.augment.transforms import EvalTransform
from engine.plan import resolve_config
from engine.step.objective import Objective
from tools.show_batch import describe, seen


def _config(painted, **fields):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), crop="test", flip=0.0)
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.train.update(batch_size=12, steps=1)
    config.update_from_flattened_dict(fields)
    return config


def test_without_augmentation_it_is_the_images(painted):
    config = _config(painted)
    pixels, targets, classes = seen(config, step=1)
    config = resolve_config.with_input(config)
    source = data.build(config, "train").source
    transform = EvalTransform(16, config.data.eval_crop, config.data.interpolation)
    images = {
        transform(image, None).transpose(2, 0, 1).tobytes(): label
        for image, label in zip(source.images, source.labels)
    }
    assert [images[image.tobytes()] for image in pixels] == targets.argmax(axis=1).tolist()
    assert (targets.max(axis=1) == 1).all()
    assert classes == ("class_0", "class_1", "class_2")


def test_it_is_what_the_objective_gives_the_model(painted):
    fields = {
        "erase_probability": 0.5,
        "mixup_alpha": 1.0,
        "auto_augment": "randaugment",
        "repeats": 2,
    }
    fields = {f"data.{name}": value for name, value in fields.items()}
    config = _config(
        painted, **fields, **{"loss.label_smoothing": 0.1, "train.accumulation_steps": 2}
    )
    pixels, targets, classes = seen(config, step=1)
    config = resolve_config.with_classes(resolve_config.with_input(config), 3)
    dataset = data.build(config, "train")
    sampler = data.TrainSampler(dataset, 12, 2, 9, config.seed, repeats=2)
    batch = [batch for _, batch in zip(range(3), data.load(dataset, sampler, 0))][
        2
    ]  # the first of step 1
    images, expected = Objective(config).prepare(batch, 1, 0)
    assert (targets == expected.numpy()).all()
    shown = (paddle.to_tensor(pixels).astype("float32") / 255 - 0.5) / 0.5
    assert tuple(config.model.mean) == tuple(config.model.std) == (0.5, 0.5, 0.5)
    assert (shown - images.clip(-1, 1)).abs().max().item() < 1.01 / 255
    assert len(classes) == 3


def test_targets_in_words():
    names = ("cat", "dog", "fox", "owl")
    assert describe(np.float32([0, 1, 0, 0]), names) == "dog 1.00"
    assert describe(np.float32([0.3, 0, 0, 0.7]), names) == "owl 0.70, cat 0.30"
    assert describe(np.float32([0.04, 0.88, 0.04, 0.04]), names) == "dog 0.88, others 0.12"
    assert describe(np.float32([0.25] * 4), names) == "others 1.00"


def test_the_command(painted, tmp_path):
    words = [
        f"--config.data.root={painted}",
        "--config.data.name=folder",
        "--config.model.image_size=16",
    ]
    words += [
        "--config.train.batch_size=12",
        "--config.data.cutmix_alpha=1.0",
        "--config.data.auto_augment=randaugment",
    ]
    out = tmp_path / "new" / "grid.png"
    done = run_program(
        "-m", "tools.show_batch", *words, "--output", out, "--images=6", "--step", "2"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("1: class_")
    assert "6 of the 12 images of step 2" in lines[-1]
    picture = np.asarray(Image.open(out).convert("RGB"))
    assert picture.std() > 20


def test_mistakes_are_one_line(tmp_path):
    for words, message in (
        (["--output=x.txt"], "ends in none of"),
        (["--output=x.png", "--config.data.erase_mod=x"], "no such field"),
        ([f"--output={tmp_path}/x.png", "--config.data.repeats=0"], "expected 1 or more"),
    ):
        done = run_program("-m", "tools.show_batch", *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert message in done.stderr
