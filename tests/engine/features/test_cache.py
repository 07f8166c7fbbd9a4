"""A frozen body runs once for an image and view; the run is the same as without the cache."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import paddle
import pytest
from conftest import ROOT, launch, run_program, without_page
from PIL import Image

import data
from common.errors import UserError
from common.safetensors_files import read_safetensors
from configs import default
from engine.commands import lr_range_test, single_run
from engine.results import metrics_reader
from engine.results.run_log import RunLog
from engine.step.objective import Objective
from models.multipass import MultiPass
from program import exits
from program.signals import StopRequest

_TIMES = ("seconds", "images_per_second")


@pytest.fixture
def config(painted):
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


_VIEWS = {"data.crop": "random_resized", "data.flip": 0.5, "data.views": 2}
_RDROP = {
    "model.trainable": "head_and_norm",
    "model.drop_rate": 0.1,
    "rdrop.copies": 2,
    "rdrop.shared_blocks": 2,
}
_CASES = {
    "head": {},
    "norm": {"model.trainable": "head_and_norm", "average.ema_decay": 0.5},
    "distilled": {"model.name": "vit_n_2_distilled", "model.image_size": 8},
    "views": _VIEWS,
    "repeats": {**_VIEWS, "data.repeats": 3, "data.workers": 1, "train.steps": 40},
    "resized on the device": {
        **_VIEWS,
        "data.name": "digits",
        "data.root": "",
        "data.max_images": 29,
        "data.holdout": 0.0,
        "data.resize_on": "device",
    },
    "rdrop": _RDROP,
    "rdrop and views": {**_RDROP, **_VIEWS, "train.steps": 20, "rdrop.every_steps": 2},
    "cnn": {
        "model.name": "resnet_18",
        "model.image_size": 32,
        "model.drop_rate": 0.2,
        "rdrop.copies": 2,
    },
    "unlabelled": {
        **_RDROP,
        **_VIEWS,
        "data.labels_per_class": 5,
        "rdrop.unlabelled_batch_size": 3,
        "rdrop.every_steps": 2,
        "train.steps": 20,
    },
}


_LAUNCHED = {
    **_RDROP,
    **_VIEWS,
    "data.max_images": 29,
    "eval.batch_size": 4,
    "train.steps": 12,
    "train.log_every_steps": 1,
}


@pytest.fixture
def rows(monkeypatch) -> list[int]:
    """The number of images in each pass through `embed`, where every body begins."""
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


def _run(config, folder, **fields):
    """Returns the weights and the records of a run."""
    config = config.copy_and_resolve_references()
    config.unlock()
    config.update_from_flattened_dict(fields)
    assert single_run.train(config, folder) == exits.DONE
    return _outcome(folder)


def _outcome(folder):
    records = [
        {name: value for name, value in record.items() if name not in _TIMES}
        for record in metrics_reader.read_metrics(folder)
    ]
    return read_safetensors(folder / "weights.safetensors")[0], records


def _assert_close(found, expected) -> None:
    """To rounding: the batches of a matrix product differ."""
    assert len(found[1]) == len(expected[1])
    for record, other in zip(found[1], expected[1]):
        assert record.keys() == other.keys()
        for name, value in other.items():
            exact = isinstance(value, str) or value is None
            assert record[name] == (value if exact else pytest.approx(value, rel=1e-5, abs=1e-5))
    for name, array in expected[0].items():
        np.testing.assert_allclose(found[0][name], array, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", _CASES)
def test_the_run_is_the_same_as_without(config, tmp_path, capsys, case):
    fields = _CASES[case]
    found = _run(config, tmp_path / "cached", **fields)
    assert "features: " in capsys.readouterr().out
    expected = _run(config, tmp_path / "whole", **fields, **{"train.cache_features": "off"})
    assert "not cached: train.cache_features=off" in capsys.readouterr().out
    _assert_close(found, expected)
    kl = [record["kl"] for record in found[1] if "kl" in record]
    assert all(value > 1e-6 for value in kl)
    assert bool(kl) == (config.rdrop.copies > 1 or "rdrop.copies" in fields)


def test_each_image_passes_the_body_once(config, tmp_path, rows):
    """Training, held-out and test images; passes of one image find out the memory and the cut."""
    _run(config, tmp_path / "run")
    assert [count for count in rows if count > 1] == [8, 8, 8, 5, 7, 8, 7]


def test_each_view_passes_once(config, tmp_path, rows, monkeypatch):
    read: list[tuple[int, ...]] = []
    item = data.ImageDataset.__getitem__

    def noted(self, key):
        if self.training:
            read.append(self.view(key))
        return item(self, key)

    monkeypatch.setattr(data.ImageDataset, "__getitem__", noted)
    monkeypatch.setattr(RunLog, "pictures", lambda *_: None)  # of training images
    _run(config, tmp_path / "run", **_VIEWS)
    assert sum(count for count in rows if count > 1) == 2 * 29 + 7 + 15
    assert sorted(read) == [*itertools.product(range(2), range(29))]


def test_a_stopped_run_goes_on_with_the_same_bits(config, tmp_path):
    """Noise, views and averages are in play; the stop comes in the middle of an epoch."""
    fields = {**_CASES["rdrop and views"], "average.ema_decay": 0.5}
    config.update_from_flattened_dict(fields)
    whole = _run(config, tmp_path / "whole")
    folder = tmp_path / "cut"
    for steps in (4, 5):
        assert single_run.train(config, folder, stop=_StopAfter(steps)) == exits.STOPPED
    weights, records = _run(config, folder)
    assert records == whole[1]
    assert all((weights[name] == array).all() for name, array in whole[0].items())


class _StopAfter(StopRequest):
    """Stops after so many steps."""

    def __init__(self, steps: int):
        super().__init__()
        self._steps = steps

    def agreed(self) -> bool:
        self._steps -= 1
        return self._steps == 0


def test_a_run_keeps_to_what_it_began_with(config, tmp_path, monkeypatch, capsys):
    """Less memory at the resume is an error, more of it changes nothing."""
    few, many = tmp_path / "few", tmp_path / "many"
    single_run.train(config, many, stop=_StopAfter(4))
    with config.unlocked():
        config.train.cache_gb = 1e-9
    single_run.train(config, few, stop=_StopAfter(4))
    assert "not cached: they take" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"begun with cached features, but they take 0 MB, of 0 MB"):
        single_run.train(config, many)
    config.train.cache_gb = 0.0
    assert single_run.train(config, few) == exits.DONE
    assert "not cached: the run was begun without" in capsys.readouterr().out
    assert single_run.train(config, many) == exits.DONE
    assert "features: all that is in front of the head runs once for" in capsys.readouterr().out


@pytest.fixture
def on_disk(config):
    """Two views, with noise behind them, and memory for none of it."""
    config.update_from_flattened_dict({**_RDROP, **_VIEWS, "train.cache_disk_gb": 0.1})
    config.train.update(steps=20, cache_gb=1e-9)
    return config


@pytest.mark.parametrize("checkpoint_every", [5, 100])
def test_a_rollback_keeps_the_features(config, tmp_path, rows, monkeypatch, checkpoint_every):
    """It goes back to a checkpoint, or to the start."""
    call, left = Objective.__call__, [1]

    def once_infinite(self, logits, targets, step):
        terms = call(self, logits, targets, step)
        if step == 7 and left and isinstance(logits, paddle.Tensor):
            left.pop()
            return terms._replace(total=terms.total * float("inf"))
        return terms

    monkeypatch.setattr(Objective, "__call__", once_infinite)
    config.data.holdout = 0.0
    config.train.update(nonfinite="rollback", checkpoint_every_steps=checkpoint_every)
    _run(config, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["rollbacks"] == 1
    # The step that went wrong is repeated with its images, to find the cause.
    assert sum(count for count in rows if count > 1) == 36 + 2 * 5 + 15


def test_features_on_the_disk(on_disk, tmp_path, capsys, rows):
    """The bits are those of features in memory; a resumed run computes nothing again."""
    folder = tmp_path / "disk"
    assert single_run.train(on_disk, folder, stop=_StopAfter(5)) == exits.STOPPED
    assert "in the folder of the run" in capsys.readouterr().out
    names = [f"{name}.{kind}" for name in _ON_DISK for kind in ("float32", "safetensors")]
    assert sorted(path.name for path in (folder / "features").iterdir()) == names
    assert sum(count for count in rows if count > 1) == 2 * 29 + 7
    rows.clear()
    found = _run(on_disk, folder)
    assert sum(count for count in rows if count > 1) == 15  # test images
    assert not (folder / "features").exists()
    whole = _run(on_disk, tmp_path / "memory", **{"train.cache_gb": 1.0})
    assert found[1] == whole[1]
    assert all((found[0][name] == array).all() for name, array in whole[0].items())


_ON_DISK = ("train_0", "train_1", "val_0")


def _other_byte(path):
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "train_1.safetensors").unlink(),  # the pass was killed
        lambda folder: (folder / "train_1.float32").unlink(),
        lambda folder: _other_byte(folder / "train_1.float32"),
        lambda folder: os.truncate(folder / "train_1.float32", 1000),
        lambda folder: (folder / "train_1.safetensors").write_bytes(b"broken"),
        lambda folder: shutil.copy(folder / "train_0.safetensors", folder / "train_1.safetensors"),
    ],
)
def test_what_is_not_whole_is_computed_again(on_disk, tmp_path, rows, spoil):
    folder = tmp_path / "disk"
    single_run.train(on_disk, folder, stop=_StopAfter(5))
    rows.clear()
    spoil(folder / "features")
    found = _run(on_disk, folder)
    assert sum(count for count in rows if count > 1) == 29 + 15
    whole = _run(on_disk, tmp_path / "memory", **{"train.cache_gb": 1.0})
    assert all((found[0][name] == array).all() for name, array in whole[0].items())


def test_other_pixels_are_other_features(on_disk, painted, tmp_path, rows):
    """The names and the labels are the same: a resumed run would not notice."""
    folder = tmp_path / "disk"
    single_run.train(on_disk, folder, stop=_StopAfter(5))
    rows.clear()
    for path in sorted((painted / "train").rglob("*.png")):
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    _run(on_disk, folder)
    assert sum(count for count in rows if count > 1) == 2 * 29 + 7 + 15


def test_a_disk_without_room(on_disk, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"train.cache_disk_gb: .*train_0.float32 can't be written"):
        single_run.train(on_disk, tmp_path / "disk")
    assert not [*(tmp_path / "disk" / "features").iterdir()]


def test_damaged_images_are_counted_as_without(config, painted, tmp_path):
    for path in sorted((painted / "train").rglob("*.png"))[:20:7]:
        path.write_bytes(b"\x89PNG broken")
    config.data.on_corrupt = "skip"
    _assert_close(
        _run(config, tmp_path / "cached"),
        _run(config, tmp_path / "whole", **{"train.cache_features": "off"}),
    )
    result, other = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("cached", "whole")
    )
    assert result["images_skipped"] == other["images_skipped"] > 3


def test_a_stop_in_the_pass_leaves_the_run_to_go_on(config, tmp_path, capsys):
    class Stop(StopRequest):
        asked = 0

        def check(self):
            self.asked += 1  # before the images are read; then in front of each batch
            self._note = "a test" if self.asked == 3 else ""
            super().check()

    stop = Stop()
    assert single_run.train(config, tmp_path / "run", stop=stop) == exits.STOPPED
    assert "stopped after step 0 (a test)" in capsys.readouterr().out
    assert _run(config, tmp_path / "run")[1][0]["step"] == 1


def test_the_rate_test_uses_the_features(config, tmp_path, rows):
    config.data.holdout = 0.0
    lr_range_test.find(config, np.geomspace(1e-4, 1e-1, 12), tmp_path / "rates")
    assert sum(count for count in rows if count > 1) == 36


@pytest.mark.parametrize("place", ["memory", pytest.param("disk", marks=pytest.mark.slow)])
def test_two_processes_do_the_same_as_one(tmp_path, place):
    """Each computes every other batch of the images, and gets the others' rows."""
    words = ["main.py", *(f"--config.{name}={value}" for name, value in _LAUNCHED.items())]
    weights = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        size = f"--config.train.batch_size={10 // processes}"
        command = [*words, size, f"--workdir={folder}"]
        if place == "disk":
            command += ["--config.train.cache_gb=1e-9", "--config.train.cache_disk_gb=0.1"]
        done = run_program(*command) if processes == 1 else launch(2, tmp_path / "log", *command)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        assert "features: the first 2 blocks run once for" in done.stdout
        weights[processes] = _outcome(folder)
    _assert_close(weights[2], weights[1])


@pytest.mark.slow
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_run_that_is_killed_ends_with_the_same_bits(tmp_path, place):
    """With `kill -9`, in the pass or after some steps."""
    words = ["main.py", *(f"--config.{name}={value}" for name, value in _LAUNCHED.items())]
    words += ["--config.train.batch_size=10", "--config.train.steps=300"]
    words += ["--config.train.checkpoint_every_steps=2"]
    if place == "disk":
        words += ["--config.train.cache_gb=1e-9", "--config.train.cache_disk_gb=0.1"]
    whole, cut = (f"--workdir={tmp_path / name}" for name in ("whole", "cut"))
    assert run_program(*words, whole).returncode == 0
    folder, command = tmp_path / "cut", [sys.executable, *without_page([*words, cut])]
    for reached in (folder / "metrics.jsonl", folder / "checkpoints" / "step_00000020"):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        while not reached.exists() and not list(folder.glob("checkpoints/step_000002*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert not (folder / "result.json").exists()
    done = run_program(*words, cut)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "going on from step" in done.stdout
    found, expected = _outcome(folder), _outcome(tmp_path / "whole")
    assert found[1] == expected[1]
    assert all((found[0][name] == array).all() for name, array in expected[0].items())
