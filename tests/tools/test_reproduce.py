"""`tools.reproduce` as a user calls it; the slow part rehearses every figure."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, run_program
from safetensors.numpy import load_file

from tools.reproduction.published.figures import FIGURES
from tools.reproduction.work import made_up

_NO_CARDS = {"CUDA_VISIBLE_DEVICES": ""}


def _reproduce(*words: object):
    return run_program("-m", "tools.reproduce", *words, **_NO_CARDS)


def test_the_list(tmp_path):
    done = _reproduce("--list", "--json", tmp_path / "list.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "list.json").read_text())
    assert [row["name"] for row in rows] == list(FIGURES)
    for row in rows:
        assert f"{row['name']} " in done.stdout
        assert row["source"] in done.stdout
        assert set(row["hours"]) == {"1 V100", "4 V100", "1 H100"}
        assert Path(ROOT / row["config"]).is_file()
    first = rows[0]
    assert (first["published"], first["data_bytes"]) == (93.29, 169_001_437)
    assert first["hours"]["1 V100"]["float32"] > first["hours"]["4 V100"]["float32"]
    assert "weights google/imagenet21k/ViT-B_16" in first["downloads"][1]
    assert "60 % of 15.7 TFLOP/s in float32" in done.stdout


def test_the_list_needs_no_paddle():
    code = "import sys; from tools.reproduction import listing; listing.rows(); "
    assert run_program("-c", code + "sys.exit('paddle' in sys.modules)").returncode == 0


def test_the_plan_says_what_is_assumed(tmp_path):
    done = _reproduce("cifar100_vit_b_384", "--scale=tiny", "--plan", "--workdir", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    assert "what the source leaves open, and is assumed here:\n  - the weight of" in done.stdout
    assert not (tmp_path / "w").exists()


def _finished(workdir: Path) -> dict:
    """The verdict of a rehearsal, whose page and state are there."""
    page = (workdir / "reproduction.html").read_text()
    assert "Rehearsal, which says nothing about the figure" in page
    assert (workdir / "report.html").is_file() == ("The report of all runs" in page)
    return json.loads((workdir / "verdict.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_rehearsed(name, tmp_path):
    done = _reproduce(name, "--scale=tiny", "--no_doctor", "--workdir", tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "verdict: rehearsal" in done.stdout
    found = _finished(tmp_path)
    assert found["figure"] == name
    assert found["published"] == FIGURES[name].published.value
    assert len(found["top1s"]) == 1
    stages = json.loads((tmp_path / "reproduction.json").read_text())["stages"]
    wanted = ["data", "weights", "dry run", "training, seed 0", "accuracy, seed 0"]
    assert [stage for stage in stages if stage in wanted] == wanted


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_is_stopped_in_the_middle_and_started_again(number, tmp_path):
    """It goes on, and ends with the weights of one that was left alone."""
    name, steps = "tiny_imagenet_swin_l_384_ema", "train.steps=60"
    words = ["-m", "tools.reproduce", name, "--scale=tiny", "--no_doctor", "--set", steps]
    words += ["--workdir"]
    done = run_program(*words, tmp_path / "whole", **_NO_CARDS)
    assert done.returncode == 0, done.stderr[-2000:]
    metrics = tmp_path / "cut" / "seed_0" / "metrics.jsonl"
    with subprocess.Popen(
        [sys.executable, *words, str(tmp_path / "cut")],
        cwd=ROOT,
        env={**os.environ, **_NO_CARDS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not metrics.is_file() or metrics.read_text().count('"train"') < 12:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        said = process.communicate()[1]
    assert process.returncode == (75 if number == signal.SIGTERM else -number), said[-2000:]
    assert "the same command goes on" in said or number == signal.SIGKILL
    assert not (tmp_path / "cut" / "verdict.json").exists()
    done = run_program(*words, tmp_path / "cut", **_NO_CARDS)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "data: done before" in done.stdout
    assert "training, seed 0: begins" in done.stdout
    assert "going on from step" in done.stdout
    whole, cut = (
        load_file(tmp_path / one / "seed_0" / "weights.safetensors") for one in ("whole", "cut")
    )
    assert whole.keys() == cut.keys()
    assert all(whole[name].tobytes() == cut[name].tobytes() for name in whole)
    assert _finished(tmp_path / "cut")["top1s"] == _finished(tmp_path / "whole")["top1s"]


@pytest.mark.slow
def test_data_that_lacks_classes_and_weights_of_another_model(tmp_path):
    """One line at the end, and what is done stays done."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    made_up.write_data("cifar100", whole)
    made_up.write_data("cifar100", part)
    for name, key in (("train", b"fine_labels"), ("test", b"fine_labels")):
        content = pickle.loads((part / name).read_bytes())
        content[key] = [label % 50 for label in content[key]]
        (part / name).write_bytes(pickle.dumps(content, protocol=2))
    names = {b"fine_label_names": [b"class_%03d" % label for label in range(50)]}
    (part / "meta").write_bytes(pickle.dumps(names, protocol=2))
    made_up.write_weights("resnet_18", made_up.class_names("cifar100"), tmp_path / "r.safetensors")
    words = ["cifar100_vit_b_384", "--scale=tiny", "--no_doctor", "--workdir", tmp_path / "w"]

    done = _reproduce(*words, "--data", part)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "has 50 classes, the figure's has 100: give the whole data set by --data" in last

    done = _reproduce(*words, "--data", whole, "--weights", tmp_path / "r.safetensors")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "r.safetensors" in done.stderr.splitlines()[-1]
    stages = json.loads((tmp_path / "w" / "reproduction.json").read_text())["stages"]
    assert "data" in stages
    assert not (tmp_path / "w" / "seed_0").exists()


@pytest.mark.slow
def test_a_figure_of_the_digits_at_full_scale(tmp_path):
    """The one kind of figure that a CPU can reproduce: a true verdict."""
    words = ["digits_rdrop", "--no_doctor", "--workdir", tmp_path, "--set", "train.steps=300"]
    done = _reproduce(*words)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    found = json.loads((tmp_path / "verdict.json").read_text())
    assert (found["published"], found["seeds"]) == (97.65, 1)
    assert "--set train.steps=300: your own" in found["differs"]
    assert "verdict: rehearsal" not in done.stdout
