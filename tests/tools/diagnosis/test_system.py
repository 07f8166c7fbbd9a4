"""The clock, letters, what a launcher has left, and the name of the host."""

from __future__ import annotations

import datetime

import pytest

from tools.diagnosis import system


def _seconds(year: int) -> float:
    return datetime.datetime(year, 6, 1, tzinfo=datetime.timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("year", "state", "words"),
    [
        (2026, "fine", "2026-06-01 00:00:00 UTC"),
        (1970, "bad", "before the files of this project (2025-06-01)"),
        (2150, "bad", "set it (NTP)"),
    ],
)
def test_clock(year, state, words):
    (line,) = system.clock(_seconds(year), _seconds(2025))
    assert line.state == state
    assert words in str(line)


def test_the_clock_of_this_machine():
    assert [one.name for one in system.clock()] == ["clock"]


@pytest.mark.parametrize(
    ("variables", "of_files", "of_output", "forced", "state", "words"),
    [
        ({"LANG": "C.UTF-8"}, "utf-8", "utf-8", False, "fine", "LANG=C.UTF-8"),
        ({}, "utf-8", "UTF8", True, "fine", "no locale is set"),
        ({"LC_ALL": "C"}, "utf-8", "utf-8", True, "fine", "LC_ALL=C"),
        ({"LC_ALL": "C"}, "ascii", "utf-8", False, "look", "export LC_ALL=C.UTF-8"),
        ({"LC_ALL": "zh_CN.GBK"}, "utf-8", "gbk", True, "look", "printed as escapes"),
        ({"PYTHONIOENCODING": "ascii"}, "utf-8", "ascii", True, "look", "unset PYTHONIOENCODING"),
        ({"LC_ALL": "zh_CN.GBK"}, "utf-8", "utf-8", True, "look", "other programs"),
        ({"LANG": "a"}, "utf-8", "unheard-of", False, "look", "printed as escapes"),
    ],
)
def test_letters(variables, of_files, of_output, forced, state, words):
    (line,) = system.letters(variables, of_files, of_output, forced)
    assert line.state == state
    assert words in str(line)


@pytest.mark.parametrize(
    ("variables", "state"),
    [
        ({"PATH": "a"}, "fine"),
        ({"PADDLE_TRAINERS_NUM": "4"}, "bad"),
        ({"PADDLE_TRAINER_ENDPOINTS": "a:1,b:2"}, "bad"),
        ({"PADDLE_TRAINERS_NUM": "1", "PADDLE_TRAINER_ID": "0"}, "look"),
        ({"MASTER_ADDR": "10.0.0.1"}, "look"),
    ],
)
def test_launcher(variables, state):
    (line,) = system.launcher(variables)
    assert line.state == state
    if state != "fine":
        assert line.remedy.endswith(f"unset {' '.join(sorted(variables))}")


@pytest.mark.parametrize(
    ("variables", "name", "expected"),
    [
        ({}, "localhost", [("host", "fine")]),
        ({"GLOO_SOCKET_IFNAME": "lo"}, "localhost", [("host", "fine")]),
        ({"NCCL_SOCKET_IFNAME": "^docker"}, "localhost", [("host", "fine")]),
        ({"NCCL_SOCKET_IFNAME": "eth"}, "localhost", [("host", "fine")]),  # a beginning
        ({"GLOO_SOCKET_IFNAME": "ib0"}, "localhost", [("interfaces", "bad"), ("host", "fine")]),
        ({}, "a" * 70, [("host", "look")]),
    ],
)
def test_host(variables, name, expected):
    found = system.host(variables, frozenset({"lo", "eth0"}), name)
    assert [(one.name, one.state) for one in found] == expected
