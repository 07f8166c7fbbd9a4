"""Input that looks odd and must work, and processes that do not fit together."""

from __future__ import annotations

import os
import shutil
import socket
from collections import namedtuple

import bad_files as bad
import pytest
from conftest import ROOT, launch, paint
from in_process import run_here

import data
from common.errors import UserError
from common.reading import read_json
from configs import default
from data import loader
from engine import distributed

_MODEL = ("--config.model.name=vit_n_8", "--config.model.image_size=8", "--config.data.name=folder")
_QUICK = (*_MODEL, "--config.train.steps=2", "--config.train.batch_size=4")


def _train(root, run, *more: str):
    return run_here("main.py", *_QUICK, f"--config.data.root={root}", f"--workdir={run}", *more)


def _sources(root) -> tuple:
    config = default.get_config()
    config.data.update(name="folder", root=str(root), eval_crop=1.0)
    config.model.image_size = 8
    return tuple(data.build(config, split).source for split in ("train", "test"))


def test_spaces_and_letters_of_any_language(tmp_path):
    """In the paths of images, classes, the run, its weights, and what is written."""
    root, run = tmp_path / "my ünïcode 图片", tmp_path / "a run — 2"
    bad.images(root)
    for part in ("train", "test"):
        (root / "images" / part / "class_0").rename(root / "images" / part / "chat noir ñ")
    done = _train(root / "images", run)
    assert done.returncode == 0, done.stderr
    weights, result = run / "weights.safetensors", tmp_path / "out put é.json"
    done = run_here("val.py", f"--weights={weights}", f"--json={result}")
    assert (done.returncode, result.is_file()) == (0, True), done.stderr
    image = next((root / "images").rglob("*.png"))
    done = run_here("tools.predict", "--weights", weights, image)
    assert done.returncode == 0, done.stderr
    assert str(image) in done.stdout


def test_names_that_are_no_unicode_text(tmp_path):
    """Names of files are bytes; text that contains them can be read again."""
    root, run, report = (
        tmp_path / os.fsdecode(b"i\xff"),
        tmp_path / os.fsdecode(b"r\xff"),
        tmp_path / "report.json",
    )
    bad.images(root)
    done = _train(root / "images", run)
    assert done.returncode == 0, done.stderr
    assert read_json(run / "config.json")["data"]["root"] == str(root / "images")
    image = next((root / "images").rglob("*.png"))
    done = run_here(
        "tools.predict", "--weights", run / "weights.safetensors", image, "--json", report
    )
    assert done.returncode == 0, done.stderr
    assert read_json(report)[0]["file"] == str(image)


def test_odd_places_of_images(tmp_path):
    """Capital endings, folders in class folders, a link, a folder with the name of an image."""
    bad.images(tmp_path)
    folder = tmp_path / "images" / "train" / "class_0"
    (folder / "000.png").rename(folder / "000.PNG")
    shutil.copytree(tmp_path / "images" / "test" / "class_0", folder / "deeper")
    paint(tmp_path / "elsewhere", 1, 3, 8)
    os.symlink(tmp_path / "elsewhere", folder / "linked")
    (folder / "folder.png").mkdir()
    bad.write(folder, ".hidden.png", b"")
    bad.write(folder, ".hidden/a.png", b"")
    train, _ = _sources(tmp_path / "images")
    names = train.names()
    assert names.count("000.PNG") == 1
    assert (train.labels == 0).sum() == 6 + 2 + 3
    assert all(train.images[position].shape[2] == 3 for position in range(len(names)))


def test_other_data_is_named_and_changes_nothing(tmp_path):
    """Also where the number of classes, which the model depends on, is another."""
    bad.images(tmp_path)
    root, run = tmp_path / "images", tmp_path / "run"
    assert _train(root, run).returncode == 0
    before = (run / "config.json").read_bytes()
    for part in ("train", "test"):
        paint(tmp_path / part, 1, 4, 8)
        (tmp_path / part / "class_0").rename(root / part / "class_9")
    done = _train(root, run)
    assert done.returncode == 2
    assert "of the train images, classes new: class_9" in done.stderr
    assert (run / "config.json").read_bytes() == before


def test_small_shared_memory_is_said_and_used_without(tmp_path, monkeypatch):
    bad.images(tmp_path)
    Usage = namedtuple("Usage", "free")
    monkeypatch.setattr(loader.shutil, "disk_usage", lambda path: Usage(100))
    loader._shared_memory_fits.cache_clear()
    try:
        done = _train(tmp_path / "images", tmp_path / "run", "--config.data.workers=1")
    finally:
        loader._shared_memory_fits.cache_clear()
    assert done.returncode == 0, done.stderr
    assert "they pass batches through pipes" in done.stdout


def test_a_run_beside_its_images(tmp_path):
    """A run may be anywhere but in the folders that are read for images."""
    bad.images(tmp_path)
    config = default.get_config().data
    config.update(name="folder", root=str(tmp_path / "images"))
    data.check_outside(config, tmp_path / "images" / "run")
    config.root = str(tmp_path / "images" / "train")
    with pytest.raises(UserError, match="is among the images of data.root"):
        data.check_outside(config, tmp_path / "images" / "train" / "run")
    config.update(root="", name="digits", unlabelled_root=str(tmp_path))
    with pytest.raises(UserError, match="is among the images of data.unlabelled_root"):
        data.check_outside(config, tmp_path / "run")


def test_a_port_in_use(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        monkeypatch.setenv("PADDLE_MASTER", f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(UserError, match="the port can't be had"):
            distributed._check_port()
    distributed._check_port()


def test_digests_tell_data_sets_apart(tmp_path):
    """Equal folders at two places have the same; another pixel, name or label changes them."""
    for place in ("a", "b"):
        bad.images(tmp_path / place)

    def digests(place):
        config = default.get_config()
        config.data.update(name="folder", root=str(tmp_path / place / "images"), holdout=0.2)
        config.model.image_size = 8
        return data.build(config, "train").digests()

    first, folder = digests("a"), tmp_path / "b" / "images" / "train" / "class_0"
    assert digests("b") == first
    content = (folder / "000.png").read_bytes()
    bad.write(folder, "000.png", bad.picture())
    assert {name for name, value in digests("b").items() if value != first[name]} == {
        "the content of 10 images"
    }
    bad.write(folder, "000.png", content)
    (folder / "000.png").rename(folder / "0.png")
    assert {name for name, value in digests("b").items() if value != first[name]} >= {
        "the names of the images"
    }
    (folder / "0.png").unlink()
    assert digests("b")["the number of images"] != first["the number of images"]


def test_what_one_process_refuses_stops_all(monkeypatch):
    monkeypatch.setattr(distributed, "exchange", lambda text: [text, "there is no data"])
    with (
        pytest.raises(UserError, match="^process 1 stopped: there is no data$"),
        distributed.together(),
    ):
        pass
    with pytest.raises(UserError, match="^mine$"), distributed.together():
        raise UserError("mine")
    monkeypatch.setattr(distributed, "exchange", lambda text: [text, text])
    with distributed.together():
        pass


def test_a_difference_is_named(monkeypatch):
    monkeypatch.setattr(distributed, "exchange", lambda text: [text, text.replace("0.1", "0.2")])
    with pytest.raises(
        UserError, match="different configs: optim.lr is 0.1 on process 0, 0.2 on process 1"
    ):
        distributed.check_same({"a": "1", "optim.lr": "0.1"}, "configs")
    distributed.check_same({"a": "1"}, "configs")


_BY_RANK = """
import os
from configs import digits_rdrop
def get_config():
    config = digits_rdrop.get_config()
    config.train.update(steps=2, batch_size=4)
    if os.environ["PADDLE_TRAINER_ID"] == "1":
        {change}
    return config
"""


def _on_two(tmp_path, change: str, *more: str) -> list[str]:
    """Starts two processes, the second with another config; returns each one's last message."""
    path = bad.write(tmp_path, "c.py", _BY_RANK.format(change=change))
    words = ("main.py", f"--config={path}", f"--workdir={tmp_path / 'run'}", *more)
    done = launch(2, tmp_path / "log", *words, PYTHONPATH=str(ROOT))
    logs = [(tmp_path / "log" / f"workerlog.{rank}").read_text() for rank in (0, 1)]
    assert done.returncode == 2
    assert not any("Traceback" in log for log in logs)
    assert not (tmp_path / "run").exists()
    return [next(line for line in log.splitlines() if line.startswith("error: ")) for log in logs]


def test_processes_with_different_configs(tmp_path):
    expected = (
        "the processes have different configs: optim.lr is 0.006 on process 0, 0.5 on process 1"
    )
    for said in _on_two(tmp_path, "config.optim.lr = 0.5"):
        assert expected in said


@pytest.mark.slow
def test_processes_with_different_data(tmp_path):
    bad.images(tmp_path / "a")
    bad.images(tmp_path / "b", x=bad.picture())
    change = "pass\n    part = '/b' if os.environ['PADDLE_TRAINER_ID'] == '1' else '/a'\n"
    change += f"    root = {str(tmp_path)!r} + part\n"
    change += "    config.data.update(name='folder', root=root + '/images')"
    for said in _on_two(tmp_path, change, *_MODEL):
        assert "the processes have different data: the content of 11 images of train" in said


@pytest.mark.slow
def test_data_that_one_process_lacks(tmp_path):
    bad.images(tmp_path / "0")
    change = f"pass\n    root = {str(tmp_path)!r} + '/' + os.environ['PADDLE_TRAINER_ID']\n"
    change += "    config.data.update(name='folder', root=root + '/images')"
    first, second = _on_two(tmp_path, change, *_MODEL)
    assert "1/images is not a folder, nor an archive" in second
    assert first.startswith("error: process 1 stopped: data.root: ")
