"""`main.py` and `val.py` as a user runs them: exit codes, one-line errors, stop and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import paddle
import pytest
from conftest import ROOT, run_program
from safetensors.numpy import save_file

_QUICK = [
    "--config.train.steps=12",
    "--config.train.log_every_steps=1",
    "--config.train.checkpoint_every_steps=4",
]


def _line(done) -> str:
    """The one line of an error, and nothing like a traceback."""
    assert "Traceback" not in done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A few steps on the digits."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = run_program("main.py", f"--workdir={folder}", *_QUICK)
    assert done.returncode == 0, done.stderr
    return folder


def test_help_and_pipes_end_well():
    done = run_program("main.py", "--help")
    assert done.returncode == 0
    assert "--config.group.field=value" in done.stdout
    command = f"{sys.executable} main.py --dry_run | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_output_is_quiet_without_a_terminal(trained):
    done = run_program("main.py", f"--workdir={trained}", *_QUICK)
    assert "finished run" in done.stdout
    assert done.stderr == ""


def test_accuracy_check(trained, tmp_path):
    weights, report = trained / "weights.safetensors", tmp_path / "out.json"
    done = run_program("val.py", f"--weights={weights}", "--expect_top1=0.99", f"--json={report}")
    assert done.returncode == 1
    assert "below the expected 0.9900" in done.stdout
    found, result = (
        json.loads(report.read_text()),
        json.loads((trained / "result.json").read_text()),
    )
    assert found["seen"] == 500
    assert all(found[name] == result[name] for name in ("top1", "top5", "loss", "ece"))
    assert (
        run_program("val.py", f"--weights={weights}", f"--expect_top1={result['top1']}").returncode
        == 0
    )


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="Paddle 2 can't")
def test_accuracy_check_in_bfloat16(trained, tmp_path):
    report = tmp_path / "out.json"
    done = run_program(
        "val.py",
        f"--weights={trained / 'weights.safetensors'}",
        "--precision=bfloat16",
        f"--json={report}",
    )
    assert (done.returncode, done.stderr) == (0, "")
    found, result = (
        json.loads(report.read_text()),
        json.loads((trained / "result.json").read_text()),
    )
    assert found["precision"] == "bfloat16"
    assert 0 < abs(found["loss"] / result["loss"] - 1) < 0.05
    assert abs(found["top1"] - result["top1"]) < 0.02


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["main.py", "--config.optim.l=1"], "did you mean 'optim.lr'"),
        (["main.py", "--config=configs/digit.py"], "is not a file"),
        (["main.py", "--confi=3"], "confi"),
        (["main.py", "stray"], "'stray' is not a flag"),
        (["main.py", "--config.train.batch_size=5000"], "larger than the"),
        (["main.py", "--config.model.name=vit_b16"], "did you mean 'vit_b_16'"),
        (["main.py", "--config.model.drop_rate=0.0"], "every drop rate"),
        (["main.py", "--config.rdrop.shared_blocks=4"], "shared_blocks=4 leaves none"),
        (["main.py", "--config.rdrop.temperature=0.0"], "config.rdrop: temperature is 0.0"),
        (
            ["main.py", "--config.rdrop.drop_rates=(0.1,)"],
            "one rate below 1 for each of rdrop.copies",
        ),
        (
            ["main.py", "--config.rdrop.consistency=l2"],
            "expected one of symmetric_kl, kl, js, mse, cosine",
        ),
        (["main.py", "--config.rdrop.unlabelled_batch_size=8"], "needs images without labels"),
        (["val.py"], "weights"),
        (["val.py", "--weights=absent.safetensors"], "no such weights file"),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path):
    extra = [f"--workdir={tmp_path / 'run'}"] if words[0] == "main.py" else []
    done = run_program(*words, *extra)
    assert done.returncode == 2
    assert message in _line(done)


def test_weights_of_other_classes_are_refused(trained, painted):
    words = ["--config.data.name=folder", f"--config.data.root={painted}"]
    done = run_program("val.py", f"--weights={trained / 'weights.safetensors'}", *words)
    assert done.returncode == 2
    assert "3 classes" in _line(done)


def test_plain_weights_need_a_config(tmp_path):
    save_file({"x": np.zeros(3, "float32")}, str(tmp_path / "plain.safetensors"))
    done = run_program("val.py", f"--weights={tmp_path / 'plain.safetensors'}")
    assert done.returncode == 2
    assert "give the one it was trained with by --config" in _line(done)


def test_stop_by_signal_and_go_on(trained, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "main.py", f"--workdir={folder}", *_QUICK]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (folder / "metrics.jsonl").is_file() or not (folder / "metrics.jsonl").read_text():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    output = process.communicate()[0].decode()
    assert process.returncode == 75, output
    assert "the same command goes on from there" in output
    assert not (folder / "result.json").exists()
    done = run_program(*command[1:])
    assert done.returncode == 0
    assert "going on from step" in done.stdout
    assert (folder / "weights.safetensors").read_bytes() == (
        trained / "weights.safetensors"
    ).read_bytes()
