"""Driver, CUDA, cards and several processes: each fault is made up, since no test needs a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.diagnosis import cards
from tools.diagnosis.cards import Card, Driver
from tools.diagnosis.children import Answer

_GB = 1 << 30
_V100 = {"name": "Tesla V100-SXM2-32GB", "capability": [7, 0], "memory": 32 * _GB}
_H100 = {"name": "NVIDIA H100", "capability": [9, 0], "memory": 80 * _GB}
_B200 = {"name": "NVIDIA B200", "capability": [10, 0], "memory": 180 * _GB}


def _driver(cuda=(12, 4), used=0, names=("Tesla V100-SXM2-32GB",)) -> Driver:
    own = [Card(str(i), name, 32 * _GB, used) for i, name in enumerate(names)]
    return Driver("550.54.15", cuda, tuple(own))


def _gpu(cuda="11.8", own=(_V100,)) -> dict:
    return {"version": "2.6.2", "cuda": cuda, "device": "gpu:0", "cards": list(own)}


_CPU = {"version": "3.3.1", "cuda": "False", "device": "cpu", "cards": []}


def _device(driver, facts, hardware=False, **environ):
    return [(one.name, one.state) for one in cards.device(driver, facts, lambda: hardware, environ)]


@pytest.mark.parametrize(
    ("driver", "facts", "expected"),
    [
        (None, _CPU, [("device", "fine")]),
        (_driver(), _CPU, [("device", "bad")]),  # a CPU wheel next to a driver
        (_driver(), _gpu(), [("device", "fine"), ("CUDA", "fine")]),
        (_driver((11, 4)), _gpu("11.8"), [("device", "fine"), ("CUDA", "look")]),
        (_driver((11, 8)), _gpu("12.6"), [("device", "fine"), ("CUDA", "bad")]),
        (_driver(()), _gpu(), [("device", "fine"), ("CUDA", "look")]),
        (_driver((12, 8)), _gpu("11.7", [_H100]), [("device", "fine"), ("CUDA", "bad")]),
        (_driver((12, 8)), _gpu("11.8", [_H100]), [("device", "fine"), ("CUDA", "fine")]),
        (_driver((12, 8)), _gpu("12.6", [_V100, _B200]), [("device", "fine"), ("CUDA", "bad")]),
        (None, _gpu(own=()), [("device", "bad")]),  # a GPU wheel without a driver
        (_driver(), _gpu(own=()), [("device", "bad")]),
        (Driver(error="Driver/library version mismatch"), _gpu(), [("driver", "bad")]),
        (_driver(), {}, []),  # Paddle can't be imported: another line says so
    ],
)
def test_device_and_cuda(driver, facts, expected):
    assert _device(driver, facts) == expected


def test_a_card_without_a_driver():
    assert _device(None, _CPU, hardware=True) == [("driver", "bad"), ("device", "fine")]


def test_hidden_cards():
    (line,) = cards.device(_driver(), _gpu(own=()), lambda: True, {"CUDA_VISIBLE_DEVICES": ""})
    assert (line.state, line.remedy) == ("bad", "CUDA_VISIBLE_DEVICES is '': unset it")
    two = _driver(names=("A", "B"))
    assert [one.name for one in cards.visible(two, {"CUDA_VISIBLE_DEVICES": "1"})] == ["B"]
    assert len(cards.visible(two, {})) == 2


def test_hardware(tmp_path):
    assert not cards.has_hardware(tmp_path)
    for number, (vendor, kind) in enumerate([("0x8086", "0x030000"), ("0x10de", "0x040300")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "class").write_text(kind + "\n")
    assert not cards.has_hardware(tmp_path)  # another's card, and NVIDIA's sound
    (tmp_path / "1" / "class").write_text("0x030200\n")
    assert cards.has_hardware(tmp_path)


def test_each_card():
    full, half = _driver(used=_GB), _driver(used=20 * _GB)
    (line,) = cards.each(full, _gpu())
    assert line == (
        "card 0",
        "fine",
        "Tesla V100-SXM2-32GB, 32.0 GB, 31.0 GB free, no bfloat16 (train.amp=O1)",
        "",
    )
    (line,) = cards.each(half, _gpu())
    assert line.state == "look"
    assert "12.0 GB free" in line.found
    assert "nvidia-smi lists them" in line.remedy
    (line,) = cards.each(_driver(names=("NVIDIA H100",)), _gpu(own=[_H100]))
    assert line.found.endswith(", bfloat16")
    assert [one.found for one in cards.each(None, {})] == ["none; runs compute on the CPU"]
    assert [one.name for one in cards.each(None, _gpu())] == ["card 0"]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer({"cards": []}), "fine"),
        (Answer({"cards": [1], "transfer": [12e9, 11e9]}), "fine"),
        (Answer({"cards": [1], "transfer": [12e9, 1e9]}), "look"),  # one is in a slow slot
        (Answer({"cards": [1]}, "ended by SIGSEGV", "host to card"), "look"),
    ],
)
def test_transfer(answer, state):
    assert [one.state for one in cards.transfer(answer)] == [state]


def _sum(**other) -> dict:
    return {"processes": 2, "size": 64 << 20, "right": True, "bytes_per_second": 40e9, **other}


@pytest.mark.parametrize(
    ("answer", "count", "state", "words"),
    [
        (Answer(_sum()), 2, "fine", "2 processes add up 64.0 MB at 40.0 GB/s"),
        (Answer(_sum(bytes_per_second=0.3e9)), 2, "look", "nvidia-smi topo"),
        (Answer(_sum(bytes_per_second=0.3e9)), 0, "fine", "0.3 GB/s"),
        (Answer(_sum(right=False)), 2, "bad", "wrong sum"),
        (Answer({}, "no end after 9 seconds", "adding up"), 2, "bad", "NCCL_P2P_DISABLE=1"),
        (Answer({}, "no end after 9 seconds", "joining"), 0, "look", "GLOO_SOCKET_IFNAME"),
    ],
)
def test_several_processes(answer, count, state, words):
    (line,) = cards.together(answer, count)
    assert line.state == state
    assert words in str(line)


def _fake(folder: Path, script: str, monkeypatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_what_nvidia_smi_says(tmp_path, monkeypatch):
    script = (
        'case "$1" in --query*) echo "0, Tesla V100-SXM2-32GB, 32768, 512, 470.82.01, 3"\n'
        'echo "1, NVIDIA GB10, [N/A], [N/A], 470.82.01, 3";;\n'
        '*) echo "| NVIDIA-SMI 470.82.01    Driver Version: 470.82.01    CUDA Version: 11.4  |";;'
        "esac\n"
    )
    _fake(tmp_path, script, monkeypatch)
    found = cards.read_driver()
    assert (found.version, found.cuda, found.error) == ("470.82.01", (11, 4), "")
    first, second = found.cards
    assert first == Card("0", "Tesla V100-SXM2-32GB", 32 * _GB, 512 << 20)
    assert second.total == 0  # of unified memory
    assert "memory not told" in list(cards.each(found, {}))[1].found


def test_nvidia_smi_fails(tmp_path, monkeypatch):
    said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    _fake(tmp_path, f'echo "{said}"; exit 9\n', monkeypatch)
    found = cards.read_driver()
    assert found.error == said
    assert _device(found, _CPU) == [("driver", "bad")]


def test_no_nvidia_smi(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards.read_driver() is None
