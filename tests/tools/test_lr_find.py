"""The range test as a user runs it."""

from __future__ import annotations

import json

import pytest
from conftest import run_program


def test_a_short_test_on_the_digits(tmp_path):
    folder = tmp_path / "found"
    words = [
        "--config=configs/digits_ce.py",
        "--config.train.batch_size=16",
        "--steps",
        "20",
        "--output",
        folder,
    ]
    done = run_program("-m", "tools.lr_find", *words, "--lowest=1e-5")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "tried: 20 of 20 steps of 16 images, rates 1e-05 to 1," in done.stdout
    assert f"curve: {folder / 'lr_find.png'}" in done.stdout
    found = json.loads((folder / "lr_find.json").read_text())
    assert {
        "rates",
        "losses",
        "smoothed",
        "suggestion",
        "steepest",
        "tenth_of_lowest",
        "cautions",
    } <= found.keys()
    assert found["config"]["train"]["batch_size"] == 16


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps=5"], "--steps is 5, expected 20 or more"),
        (["--steps=many"], "flag --steps=many"),
        (["--lowest=0"], "expected 0 < lowest < highest"),
        (["--lowest=0.1", "--highest=0.01"], "expected 0 < lowest < highest"),
        (["--lowest=nan"], "expected 0 < lowest < highest"),
        (["--config.optim.l=1"], "did you mean 'optim.lr'"),
        (["--config=absent.py"], "absent.py is not a file"),
        (["--config.optim.name=adam"], "expected one of adamw"),
        (["--workdir=x"], "--workdir is no flag"),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path):
    done = run_program("-m", "tools.lr_find", f"--output={tmp_path / 'found'}", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "found").exists()
