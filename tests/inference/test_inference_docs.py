"""The code of `docs/inference.md` runs as it stands there, and its commands have these flags."""

from __future__ import annotations

import re
import shlex

import pytest
from conftest import ROOT, paint
from small_weights import write_own, write_timm

_TEXT = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
_PYTHON = re.findall(r"```python\n(.*?)```", _TEXT, re.DOTALL)
_COMMANDS = [
    line.partition("#")[0].split("| ")[-1].strip()
    for block in re.findall(r"```bash\n(.*?)```", _TEXT, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the page names."""
    write_own(tmp_path / "output" / "digits_rdrop" / "weights.safetensors")
    write_timm(tmp_path / "timm_folder", 3)
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    paint(tmp_path / "images", 1, 1)
    (tmp_path / "images" / "class_0" / "000.png").rename(tmp_path / "cat.jpg")
    monkeypatch.chdir(tmp_path)


def test_the_blocks_one_after_the_other(place, capsys):
    names: dict = {}
    for block in _PYTHON:
        exec(block, names)
    assert len(_PYTHON) == 3
    said = capsys.readouterr().out
    assert "left out: absent.jpg: not a readable image (no such file); mend or remove it" in said
    assert f"{names['prediction'].name} " in said
    assert names["other"].classes == ("a", "b", "c")
    assert names["prediction"].top(1)[0][1] == names["prediction"].probability


def test_the_flags_that_it_names():
    """Each is one of the program that its command calls, or of one of both."""
    text = (ROOT / "val.py").read_text(encoding="utf-8")
    known = {"val.py": set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text)) | {"config"}}
    text = (ROOT / "tools" / "predict.py").read_text(encoding="utf-8")
    known["tools.predict"] = set(re.findall(r'add\("--(\w+)"', text))
    for line in _COMMANDS:
        program = next(name for name in known if f" {name} " in line)
        for word in shlex.split(line):
            if word.startswith("--"):
                assert word[2:].split("=")[0] in known[program], line
    assert len(_COMMANDS) == 8
    for name in re.findall(r"`--([a-z0-9_]+)", _TEXT):
        assert name in known["val.py"] | known["tools.predict"], name
