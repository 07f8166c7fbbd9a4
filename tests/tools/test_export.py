"""The command line of the export: exit codes and messages."""

from __future__ import annotations

import json

import exports
import pytest
from in_process import run_here

from inference.export import comparison


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "_SECONDS", 0)
    exports.untrained(tmp_path / "w.safetensors", exports.config_of("vit_n_2", 8))
    return tmp_path / "w.safetensors"


@exports.needs_paddle_3
def test_export(weights, tmp_path):
    words = ("--weights", weights, "--to", tmp_path / "made", "--images", 20)
    report = tmp_path / "out.json"
    done = run_here("tools.export", *words, "--format", "paddle", "--json", report)
    assert done.returncode == 0, done.stderr
    assert "checked on 20 of 500 test images" in done.stdout
    assert f"exported: {tmp_path / 'made'}" in done.stdout
    rows = json.loads(report.read_text())["models"]
    assert [row["name"] for row in rows] == ["this project", "paddle float32"]
    assert f"| {rows[1]['bytes'] / 1e6:.2f} |" in done.stdout


@exports.needs_paddle_3
def test_a_refused_model_is_exit_code_1(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "TOLERANCE", -1.0)
    done = run_here("tools.export", "--weights", weights, "--to", tmp_path / "made",
                    "--format", "paddle", "--images", 5)  # fmt: skip
    assert done.returncode == 1
    assert "FAILED: paddle float32 differs" in done.stdout
    assert "nothing is kept" in done.stdout
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--to", "w.safetensors"), "is a file"),
        (("--to", "."), "is the current folder"),
        (("--to", ".."), "has other files"),
        (("--to", "made", "--opset", "99"), "--opset is 99"),
        (("--to", "made", "--precision", "int4"), "invalid choice"),
        (("--to", "made", "--format", "both", "--precision", "int8"), "needs --format onnx"),
        (("--to", "made", "--format", "paddle", "--data_root", "gone"), "gone"),
        (("--to", "made", "--format", "paddle", "--weights", "gone"), "gone"),
        (("--to", "w.safetensors/made"), "can't be written"),
        ((), "--to"),
    ],
)
def test_bad_input_is_one_line(weights, tmp_path, words, reason):
    given = () if "--weights" in words else ("--weights", weights)
    if "--data_root" in words:
        exports.untrained(weights, _of_a_folder())
    done = run_here("tools.export", *given, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def _of_a_folder():
    config = exports.config_of("vit_n_2", 8)
    config.data.name = "folder"
    return config
