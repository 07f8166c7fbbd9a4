"""Versions against the requirements, and every way in which Paddle can be missing or broken."""

from __future__ import annotations

import pytest

from tools.diagnosis import software
from tools.diagnosis.children import Answer


@pytest.mark.parametrize(
    ("versions", "version", "allowed"),
    [
        (">=1.4,<3", "2.5.1", True),
        (">=1.4,<3", "3", False),
        (">=1.4,<3", "1.3.9", False),
        (">=1.4,<3", "1.4", True),
        ("<81", "80.9.0", True),
        ("<81", "81.0.0", False),
        ("==3.3.1", "3.3.1", True),
        ("==3.3.1", "3.3.10", False),
        ("==2.6.2", "2.6.2.post120", True),
        ("==0.17.*", "0.17.6", True),
        ("==0.17.*", "0.18.0", False),
        ("", "1", True),
    ],
)
def test_bounds(versions, version, allowed):
    assert software.allows(versions, version) is allowed


def test_requirements_of_the_project():
    base = {one.name: one.versions for one in software.requirements("requirements-base.txt")}
    assert base["numpy"] == ">=1.23,<3"
    assert base["setuptools"] == "<81"
    assert len(base) == 13
    extras = {
        python: {one.name for one in software.requirements("requirements-extras.txt", python)}
        for python in ((3, 12), (3, 13))
    }
    assert extras[3, 12] - extras[3, 13] == {"onnx", "paddle2onnx"}


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 8, 1), "bad"), ((3, 9, 0), "fine"), ((3, 13, 2), "fine"), ((3, 14, 0), "look")],
)
def test_python(version, state):
    assert [one.state for one in software.python(version)] == [state]


def test_packages():
    own = software.installed()
    assert [one.state for one in software.packages(own, {})] == ["fine"]
    without = {name: version for name, version in own.items() if name != "ml-collections"}
    (line,) = software.packages(without, {})
    assert (line.state, line.found) == ("bad", "missing: ml_collections")
    (line,) = software.packages({**own, "numpy": "3.0.1"}, {})
    assert (line.state, line.found) == (
        "look",
        "of other versions: numpy 3.0.1 (expected >=1.23,<3)",
    )
    (line,) = software.packages(own, {"numba": "Numba needs NumPy 2.0 or less"})
    assert line.state == "bad"
    assert "numba can't be imported: Numba needs" in line.found


def test_extras():
    (line,) = software.extras({})
    assert line.state == "fine"
    assert "not installed: gradio" in line.found
    (line,) = software.extras({"onnxruntime": "0.9"})
    assert line.state == "look"


_NONE = Answer({}, "ModuleNotFoundError: No module named 'paddle'", "importing Paddle")
_CRASH = Answer({}, "ended by SIGILL", "importing Paddle")


@pytest.mark.parametrize(
    ("versions", "answer", "states", "words"),
    [
        ({}, _NONE, ["bad"], "not installed; pip install -r requirements.txt"),
        ({"paddlepaddle": "3.3.1"}, _CRASH, ["bad"], "ended by SIGILL; the processor lacks"),
        (
            {"paddlepaddle-gpu": "2.6.2"},
            Answer({}, "ImportError: libcudnn.so.8: cannot open shared object file"),
            ["bad"],
            "install the cuDNN",
        ),
        ({"paddlepaddle": "3.3.1"}, Answer({"version": "3.3.1"}), ["fine"], "3.3.1"),
        (
            {"paddlepaddle": "3.3.1", "paddlepaddle-gpu": "2.6.2", "numpy": "1.26"},
            Answer({"version": "2.6.2"}),
            ["bad", "fine"],
            "pip uninstall paddlepaddle paddlepaddle-gpu",
        ),
        ({}, Answer({"version": "3.0.0"}), ["look"], "the tests are for ==3.3.1, ==2.6.2"),
        ({}, Answer({"version": "0.0.0"}), ["look"], "development build"),
        ({"numpy": "1.26.4"}, Answer({"version": "2.5.0"}), ["bad"], "older than 2.6"),
        ({"numpy": "2.4.6"}, Answer({"version": "2.6.2"}), ["bad"], "pip install 'numpy<2'"),
    ],
)
def test_paddle(versions, answer, states, words):
    found = list(software.paddle(versions, answer))
    assert [one.state for one in found] == states
    assert words in str(found[0])


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (Answer({"version": "3", "device": "cpu", "run_check": ""}), "fine", "works on cpu"),
        (
            Answer(
                {"version": "3", "device": "gpu:0", "run_check": "RuntimeError: no kernel image"}
            ),
            "bad",
            "take one for a newer CUDA",
        ),
        (Answer({"version": "3"}, "ended by SIGSEGV", "run_check"), "bad", "SIGSEGV"),
        (_NONE, "look", "not run"),
    ],
)
def test_own_check(answer, state, words):
    (line,) = software.own_check(answer)
    assert line.state == state
    assert words in str(line)


def test_project():
    (line,) = software.project(lambda: "0123456789abcdef+")
    assert line.found.endswith(", commit 0123456789ab, with changes")
    (line,) = software.project(lambda: "")
    assert line.found.endswith(", no git checkout")


def test_a_package_whose_import_ends_the_process():
    facts = {"version": "3.3.1", "broken": {"numba": "odd"}}
    assert software.broken(Answer(facts)) == {"numba": "odd"}
    crashed = Answer({"version": "3.3.1"}, "ended by SIGSEGV", "importing visualdl")
    (line,) = software.packages(software.installed(), software.broken(crashed))
    assert line.found == "visualdl can't be imported: ended by SIGSEGV"
    assert software.broken(_NONE) == {}  # Paddle's own line tells it
