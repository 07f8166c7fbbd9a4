"""Config files by their bare names and from other folders, and mistakes in them."""

from __future__ import annotations

import os

import pytest
from conftest import ROOT
from in_process import run_here

from common.errors import UserError
from program.config import config_files

_BEGIN = "from configs import default\ndef get_config():\n    config = default.get_config()\n"


@pytest.mark.parametrize(
    "given",
    ["digits_ce", "digits_ce.py", "configs/digits_ce", "configs/digits_ce.py", "$PLACE/digits_ce"],
)
def test_a_name_from_any_folder(given, tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(ROOT / "configs"))
    for folder in (ROOT, tmp_path):
        monkeypatch.chdir(folder)
        assert os.path.samefile(config_files.find(given), ROOT / "configs" / "digits_ce.py")


def test_the_working_folder_comes_first(tmp_path, monkeypatch):
    (tmp_path / "digits_ce.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert config_files.find("digits_ce") == "digits_ce.py"
    assert config_files.find("nothing") == "nothing"


def test_a_run_of_a_bare_name(tmp_path):
    done = run_here(
        *("main.py", "--config", "digits_ce", "--config.train.steps=1"),
        *("--config.train.batch_size=4",),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output" / "digits_ce" / "result.json").is_file()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("config.optim.learning_rate = 1", "line 4: optim.learning_rate is no field of a config"),
        ("config.optim.learning_rate = 1", "; did you mean 'optim.lr'?"),
        ("config.lr = 1", "line 4: lr is no field of a config; did you mean 'optim.lr'?"),
        ("config.optm.lr = 1", "line 4: optm is no field of a config; did you mean 'optim'?"),
        ("config.train.update(epoch=1)", "train.epoch is no field of a config; did you mean 'tra"),
        ("config.update({'data': {'rot': 'x'}})", "data.rot is no field of a config; did you me"),
        ("config['optim']['wd'] = 1", "did you mean 'optim.weight_decay'?"),
        ("config.optim.lr = 'a'", "optim.lr = 'a': expected a number, such as 0.001"),
        ("config.data.root = 3", "data.root = 3: expected text, such as ''"),
        ("config.seed = 1 / 0", "line 4: ZeroDivisionError: division by zero"),
        ("config.seed = = 1", "line 4: SyntaxError"),
        ("import nothing_like_it", "line 4: ModuleNotFoundError"),
    ],
)
def test_a_mistake_is_named_with_its_line(line, expected, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"{_BEGIN}    {line}\n    return config\n")
    with pytest.raises(UserError) as error:
        config_files.load_file(str(path))
    assert str(error.value).startswith(f"--config: {path}, line 4: ")
    assert expected in str(error.value)


def test_a_mistake_in_a_file_that_is_imported(tmp_path, monkeypatch):
    (tmp_path / "base_of_mine.py").write_text(f"{_BEGIN}    config.optim.lrr = 1\n")
    (tmp_path / "mine.py").write_text("import base_of_mine\nget_config = base_of_mine.get_config\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"mine\.py: .*base_of_mine\.py, line 4: optim\.lrr is no"):
        config_files.load_file(str(tmp_path / "mine.py"))
