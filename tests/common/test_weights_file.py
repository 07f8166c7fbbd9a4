"""The folder of a run stands for its weights, wherever weights are asked for."""

from __future__ import annotations

import json
import shutil

import pytest
from in_process import run_here

from common.errors import UserError
from common.safetensors_files import split_part, weights_file

_QUICK = ("--config.train.steps=2", "--config.train.batch_size=8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    done = run_here("main.py", f"--workdir={folder}", *_QUICK)
    assert done.returncode == 0, done.stderr
    return folder


def test_what_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path))
    for given in ("", "https://a/b//c.pth", "vit_b_16", "timm/vit_base_patch16_224.dino", "a.pth"):
        assert weights_file(given) == given
    assert weights_file("$PLACE/w.pth") == f"{tmp_path}/w.pth"


def test_the_check_of_a_run(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(run.parent))
    done = run_here("val.py", "--weights=$PLACE/run", "--json=$PLACE/out.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"weights: {run}/weights.safetensors\n")
    written = json.loads((run.parent / "out.json").read_text())
    assert written["top1"] == json.loads((run / "result.json").read_text())["top1"]
    done = run_here("val.py", f"--weights={run}", f"--json={run}/weights.safetensors")
    assert (done.returncode, "is an input, which would be lost" in done.stderr) == (2, True)


def test_a_run_that_begins_with_the_weights_of_another(run, tmp_path):
    done = run_here(
        *("main.py", f"--config.model.pretrained={run}", f"--workdir={tmp_path / 'next'}", *_QUICK)
    )
    assert done.returncode == 0, done.stderr
    assert f"pretrained weights: {run}: " in done.stdout


def test_the_tools_take_it(run, tmp_path):
    done = run_here("tools.average_weights", run, run, "--output", tmp_path / "mean.safetensors")
    assert done.returncode == 0, done.stderr
    words = ("--model", "vit_n_2", "--source", "ours", "--output", tmp_path / "w.pdparams")
    done = run_here("tools.convert_weights", *words, "--input", run)
    assert done.returncode == 0, done.stderr


def test_the_last_of_several_stages(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "weights.safetensors").touch()
    (tmp_path / "stages.json").write_text('["a", "b"]')
    assert weights_file(str(tmp_path)) == str(tmp_path / "b" / "weights.safetensors")
    (tmp_path / "stages.json").write_text('["../../b"]')
    assert weights_file(str(tmp_path)) == str(tmp_path / "b" / "weights.safetensors")


def test_a_run_that_is_not_finished(run, tmp_path):
    """The message names a command that makes weights of the newest checkpoint, and it works."""
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "weights.safetensors").unlink()
    done = run_here("val.py", f"--weights={tmp_path / 'run'}", cwd=tmp_path)
    assert done.returncode == 2
    command = done.stderr.partition("python -m ")[2].split()
    assert command[1] == str(tmp_path / "run" / "checkpoints" / "step_00000002")
    done = run_here(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.safetensors").is_file()
    with pytest.raises(UserError, match=r"step_00000002 --output mine\.safetensors"):
        weights_file(command[1])


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is an empty folder"):
        weights_file(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")  # as at Hugging Face
    assert weights_file(str(tmp_path)) == str(tmp_path)
    (tmp_path / "stages.json").write_text('["a"]')
    with pytest.raises(UserError, match=r"is a folder without weights\.safetensors"):
        weights_file(str(tmp_path))


def test_the_part_of_a_file(tmp_path):
    assert split_part("a/b.pth#ema") == ("a/b.pth", "ema")
    assert split_part("a/b.pth") == ("a/b.pth", "")
    assert split_part("#ema") == ("#ema", "")
    (tmp_path / "a#b").touch()
    assert split_part(f"{tmp_path}/a#b") == (f"{tmp_path}/a#b", "")
    assert split_part(f"{tmp_path}/a#b#c") == (f"{tmp_path}/a#b", "c")


def test_a_folder_of_lightning_is_no_run(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"x")
    assert weights_file(f"{tmp_path}/") == str(tmp_path)
