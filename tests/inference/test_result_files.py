"""Predictions as JSON and CSV, row by row."""

from __future__ import annotations

import csv
import json

import pytest

from inference.prediction import predicted
from inference.result_files import ResultFiles, row_of

_NAMES = ("猫", 'a,"b"', "🐶")
_ROWS = {
    "图片/1.png": predicted(_NAMES, [0.25, 0.5, 0.25]),
    "a, b.png": predicted(_NAMES, [0.0, 0.0, 1.0]),
}


def test_both_files(tmp_path):
    with ResultFiles(tmp_path / "out.json", tmp_path / "out.csv", top=2) as files:
        for file, prediction in _ROWS.items():
            files.add(file, prediction)
        assert not (tmp_path / "out.json").exists()  # they appear when they are whole
    text = (tmp_path / "out.json").read_text(encoding="utf-8")
    expected = [row_of(file, prediction) for file, prediction in _ROWS.items()]
    assert text == json.dumps(expected, indent=2, ensure_ascii=False) + "\n"
    assert expected[0]["class"] == 'a,"b"'
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == list(_ROWS)
    assert list(rows[0]) == ["file", "class", "probability", "class_2", "probability_2"]
    assert (rows[0]["class"], float(rows[0]["probability"]), rows[0]["class_2"]) == (
        'a,"b"',
        0.5,
        "猫",
    )
    assert {path.name for path in tmp_path.iterdir()} == {"out.json", "out.csv"}


def test_names_that_are_no_text(tmp_path):
    with ResultFiles(tmp_path / "out.json", tmp_path / "out.csv", top=1) as files:
        files.add("i\udcff.png", _ROWS["a, b.png"])
    (row,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert row["file"] == "i\udcff.png"
    assert "i\\udcff.png,🐶" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_no_rows_and_an_error_leave_no_file(tmp_path):
    with ResultFiles(tmp_path / "out.json", tmp_path / "out.csv", top=1):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "out.json").write_text("before")
    with pytest.raises(KeyboardInterrupt):
        _interrupted(tmp_path / "out.json")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def _interrupted(path) -> None:
    with ResultFiles(path, None, top=1) as files:
        files.add("a.png", _ROWS["a, b.png"])
        raise KeyboardInterrupt
