"""The file of VisualDL's records: whole records, names in it, what stays after a resume."""

from __future__ import annotations

import pytest
from visualdl import LogReader, LogWriter
from visualdl.component.base_component import scalar

from engine.results.visualdl import record_file

_NAME = "vdlrecords.main.log"


def _written(folder):
    with LogWriter(logdir=str(folder), file_name=_NAME) as log:
        for step in range(1, 5):
            log.add_scalar("train/loss", step, step)
            log.add_histogram("weights/head", [1.0, 2.0], step)
    return folder / _NAME


def test_records_are_added_behind_the_others(tmp_path):
    path = _written(tmp_path)
    record_file.append(path, [scalar("test/top1", 0.5, 4, 1)])
    reader = LogReader(file_path=str(path))
    assert len(reader.get_data("scalar", "train/loss")) == 4
    assert [point.value for point in reader.get_data("scalar", "test/top1")] == [0.5]


def test_an_error_adds_nothing(tmp_path):
    path = _written(tmp_path)
    before = path.read_bytes()

    def records():
        yield scalar("test/top1", 0.5, 4, 1)
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        record_file.append(path, records())
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == [_NAME]


@pytest.mark.parametrize("damage", [0, 5, 40, None])
def test_earlier_histograms(tmp_path, damage):
    """A kill may have cut the file anywhere; a stranger's may hold anything."""
    path = _written(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - damage] if damage is not None else b"\xff" * 99)
    found = record_file.earlier_records(path, "histogram", 3)
    steps = [record.values[0].id for record in found]
    assert steps == ([1, 2, 3] if damage is not None else [])


def test_no_file(tmp_path):
    assert record_file.earlier_records(tmp_path / _NAME, "histogram", 3) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("猫 🐱", "猫 🐱"),
        ("50 %/a", "50 \N{FULLWIDTH PERCENT SIGN}∕a"),
        ("tab\tand\nline", "tab and line"),
        ("\udcff", "?"),
    ],
)
def test_names_in_tags(name, shown):
    assert record_file.tag_name(name) == shown
