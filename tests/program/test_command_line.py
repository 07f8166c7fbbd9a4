"""Every mistake in a config is one line that names the field; JSON returns what was put in."""

from __future__ import annotations

import json

import pytest
from in_process import run_here

from common.errors import UserError
from configs import default
from program import command_line
from program.config import config_fields, config_files


def _check(override: str) -> None:
    (field, text), *_ = command_line._overrides([f"--config.{override}"])
    command_line.check_override(default.get_config(), field, text)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.l=3", "did you mean 'optim.lr'"),
        ("optm.lr=3", "did you mean 'optim.lr'"),
        ("train=3", "is a group of fields"),
        ("train.steps=true", "expected an integer"),
        ("train.steps=1.5", "expected an integer"),
        ("train.steps=None", "expected an integer"),
        ("train.steps=many", "expected an integer"),
        ("optim.lr=None", "expected a number"),
        ("optim.lr=False", "expected a number"),
        ("optim.lr=(1,2)", "expected a number"),
        ("data.crop_scale=[0.1,1]", "expected a tuple"),
        ("data.crop_scale=0.1", "expected a tuple"),
        ("data.crop_scale=('a',1)", "expected a tuple"),
        ("data.root=None", "can't be None"),
    ],
)
def test_bad_overrides(override, message):
    with pytest.raises(UserError, match=message):
        _check(override)


@pytest.mark.parametrize(
    "override",
    ["optim.lr=1", "optim.lr=1e-3", "data.crop_scale=(0.1,1)", "data.root=a b", "seed=7"],
)
def test_good_overrides(override):
    _check(override)


def test_booleans_are_not_integers():
    assert config_fields.fits(True, False)
    assert not config_fields.fits(1, False)
    assert not config_fields.fits(True, 1)


def test_both_spellings_of_an_override():
    words = ["main.py", "--config.a=1", "--config.b", "2", "-config.c=x=y"]
    assert command_line._overrides(words) == [("a", "1"), ("b", "2"), ("c", "x=y")]


def test_json_round_trip():
    config = default.get_config()
    config.model.mean = (0.1, 0.2, 0.3)
    config.optim.lr = 1 / 3
    stored = json.loads(json.dumps(config.to_dict()))
    read = config_fields.from_dict(stored, "file")
    assert config_fields.flattened(read) == config_fields.flattened(config)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (None, "not readable"),
        ({"a.b": 1}, "not readable"),
        ([1], "not readable"),
        ({"optm": {"lr": 1}}, "does not know"),
        ({"optim": {"lr": "x"}}, "expected such as"),
        ({"model": {"name": 3}}, "model.name = 3, expected such as"),
    ],
)
def test_bad_stored_configs(stored, message):
    with pytest.raises(UserError, match=message):
        config_fields.from_dict(stored, "file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config():\n  return 1 / 0", "ZeroDivisionError"),
        ("import absent_module", "absent_module"),
        ("x = 1", "get_config"),
        (
            "from configs import default\n"
            "def get_config():\n  c = default.get_config()\n  c.optim.rl = 1\n  return c",
            "rl",
        ),
    ],
)
def test_bad_config_files(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError, match=message):
        config_files.load_file(str(tmp_path / "mine.py"))


@pytest.mark.parametrize(
    ("inside", "given", "steps", "said"),
    [
        ("epochs=3.0", "steps=2", 2, "--config.train.steps=2 counts, not the train.epochs=3.0 of"),
        ("steps=5", "epochs=0.1", 3, "--config.train.epochs=0.1 counts, not the train.steps=5 of"),
        ("epochs=3.0", "steps=2 --config.train.epochs=0", 2, ""),
        ("steps=2", "seed=1", 2, ""),
    ],
)
def test_a_length_on_the_command_line_replaces_the_other(inside, given, steps, said, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from configs import digits_ce\ndef get_config():\n  c = digits_ce.get_config()\n"
        f"  c.train.steps, c.train.epochs = 0, 0.0\n  c.train.update({inside}, batch_size=36)\n"
        "  return c\n"
    )
    words = f"--config.train.{given}".replace("train.seed", "seed").split()
    done = run_here("main.py", f"--config={path}", f"--workdir={tmp_path / 'run'}", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())["step"] == steps
    assert said in done.stdout
    assert ("length: " in done.stdout) == bool(said)
