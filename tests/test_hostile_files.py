"""Files of a hostile author: no code runs, nothing is written elsewhere, and memory stays bounded."""

from __future__ import annotations

import functools
import re

import pytest
from crafted import FILES
from hostile import in_a_cage, read_in

from common.errors import UserError
from data import cifar

_MEGABYTES = 600  # by which memory may grow: two million of the largest things of one byte take 450


@pytest.mark.parametrize("kind", FILES)
def test_crafted_files(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(cifar, "_LARGEST_ARCHIVE", 32 << 20)  # an archive of a gigabyte takes long to make
    for number, (name, file, content, message) in enumerate(FILES[kind]()):
        place = tmp_path / str(number)
        place.mkdir()
        found = in_a_cage(functools.partial(_said, place, file, content))
        assert found.kind == "returned", (name, found)
        assert re.search(message or "^fine$", found.text), (name, found)
        assert found.megabytes < _MEGABYTES, (name, found)


def _said(place, file: str, content: bytes) -> str:
    found = read_in(place, file, content)
    return str(found)[:1500] if isinstance(found, UserError) else "fine"
