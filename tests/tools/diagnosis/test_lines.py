"""A check that raises becomes a line; nobody's home folder is in the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from tools.diagnosis import lines
from tools.diagnosis.lines import Line


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ValueError("odd"), "this check failed: ValueError (odd)"),
        (AssertionError(), "this check failed: AssertionError"),
        (UserError("a is b"), "can't be told: a is b"),
    ],
)
def test_an_error_is_a_line(error, found):
    def check():
        yield Line("a", "fine", "b")
        raise error

    first, second = lines.outcome("name", check)
    assert first == ("a", "fine", "b", "")
    assert (second.name, second.state, second.found) == ("name", "look", found)


def test_the_home_folder_is_not_shown():
    (line,) = lines.outcome("a", lambda: [Line("a", "fine", f"{Path.home()}/b", "")])
    assert str(line) == "fine a: ~/b"


def test_a_line_is_one_line():
    assert str(Line("a", "bad", "b\n\x1b[31mc", "do d")) == "bad  a: b ?[31mc; do d"


def test_summary():
    found = [Line("a", state, "") for state in ("fine", "bad", "fine", "look")]
    assert lines.summary(found) == "1 bad, 1 to look at, 2 fine"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 kB"), (2**21, "2.0 MB"), (3 * 2**30, "3.0 GB"), (200 * 2**30, "200 GB")],
)
def test_size(count, text):
    assert lines.size(count) == text
