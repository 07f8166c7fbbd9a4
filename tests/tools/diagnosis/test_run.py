"""Whether the run of a config will work: made-up plans, and the probe that plans small configs."""

from __future__ import annotations

import errno

import pytest

from tools.diagnosis import children, run
from tools.diagnosis.cards import Card, Driver
from tools.diagnosis.children import Answer
from tools.diagnosis.network import Reach

_GB = 1 << 30
_STAGE = {
    "data": {"train": 1000, "test": 100, "classes": 10},
    "root": "a",
    "weights": [],
    "model": "vit_b_16_384 at 384 px",
    "batch": 16,
    "accumulation": 2,
    "splits": False,
    "constant": 2 * _GB,
    "image": _GB,
    "needed": 18 * _GB,
    "room": 64 * _GB,
    "on_cpu": False,
    "disk": 5 * _GB,
    "workers": 4,
    "shared": 100 << 20,
}


def _lines(driver=None, reach=None, free=_GB, **other):
    answer = Answer({"stages": {"": {**_STAGE, **other}}})
    found = run.lines(answer, driver, reach, lambda path: (free, 0, free))
    return {line.name: line for line in found}


def _cards(*sizes: int, used: int = 0) -> Driver:
    return Driver(cards=tuple(Card(str(i), "A", one * _GB, used) for i, one in enumerate(sizes)))


def test_all_is_well():
    found = _lines(_cards(32))
    assert {name: line.state for name, line in found.items()} == dict.fromkeys(
        ("data", "memory", "workers"), "fine"
    )
    assert found["memory"].found == (
        "vit_b_16_384 at 384 px, 16 images a step and card: 18.0 GB (estimate) of 32.0 GB free"
    )


@pytest.mark.parametrize(
    ("driver", "other", "state", "words"),
    [
        (_cards(32, 16), {}, "bad", "train.batch_size=8 and train.accumulation_steps=4"),
        (_cards(32, used=18 * _GB), {}, "bad", "train.batch_size=8"),  # others hold it
        (_cards(20), {}, "look", "10 % and 1 GB are to stay free"),
        (_cards(16), {"splits": True}, "fine", "micro_batch=auto splits"),
        (_cards(3), {}, "bad", "not one image fits"),
        (None, {}, "look", "how much is free is not known"),
        (None, {"on_cpu": True}, "fine", "a step and process: 26.0 GB"),  # falls into pieces
        (None, {"on_cpu": True, "room": 20 * _GB}, "bad", "train.batch_size=8"),
    ],
)
def test_memory(driver, other, state, words):
    line = _lines(driver, **other)["memory"]
    assert line.state == state, line
    assert words in str(line)


def test_data():
    def line(**facts):
        return _lines(data=facts)["data"]

    assert line(train=1000, test=100, classes=10).found.startswith("1,000 training and 100 test")
    found = line(error="no class folders; expected 2", downloads=False)
    assert (found.state, found.found) == ("bad", "no class folders; expected 2")
    assert line(error="nothing is downloaded", downloads=True).state == "look"


@pytest.mark.parametrize(
    ("facts", "reach", "state", "words"),
    [
        ({"source": "a.npz", "address": "", "error": ""}, None, "fine", "here"),
        ({"source": "a.npz", "address": "", "error": "a.npz: gone"}, None, "bad", "gone"),
        ({"source": "deit_s", "address": "https://a.b", "error": ""}, None, "look", "--offline"),
        (
            {"source": "deit_s", "address": "https://a.b", "error": ""},
            lambda url: Reach(0.0, "unknown host"),
            "bad",
            "a.b can't be reached (unknown host)",
        ),
        (
            {"source": "deit_s", "address": "https://a.b", "error": ""},
            lambda url: Reach(0.1, length=88 << 20, status=200),
            "fine",
            "a.b has them, 88.0 MB to download",
        ),
    ],
)
def test_weights(facts, reach, state, words):
    line = _lines(weights=[facts], reach=reach)[f"weights {facts['source']}"]
    assert line.state == state
    assert words in str(line)


def test_workers():
    assert _lines(free=64 << 20)["workers"].state == "look"
    assert "workers" not in _lines(workers=0)

    def absent(path):
        raise OSError(errno.ENOENT, "absent")

    found = list(run.lines(Answer({"stages": {"": _STAGE}}), None, None, absent))
    assert [one.state for one in found if one.name == "workers"] == ["look"]


def test_a_plan_that_fails():
    (line,) = run.lines(Answer({}, "ended by SIGKILL", "building vit_l_16_384"), None, None)
    assert line.state == "bad"
    assert "building vit_l_16_384: ended by SIGKILL; the system has ended it" in str(line)
    assert run.disk(Answer({}, "ended")) == 0
    found = _lines(error="model.num_classes is 3, but the data has 10 classes")
    assert found["run"].state == "bad"
    assert "memory" not in found


def test_stages_are_named():
    answer = Answer({"stages": {"first": _STAGE, "second": _STAGE}})
    found = run.lines(answer, _cards(32), None)
    assert sum(line.name.endswith("of stage second") for line in found) == 3
    assert run.disk(answer) == 10 * _GB


def test_the_plan_of_a_config(small_runs):
    """Its estimate of a checkpoint is the size of a real one, less headers and counters."""
    config = {
        "data.name": "folder",
        "data.root": small_runs.data,
        "data.workers": 2,
        "data.holdout": 0.25,
        "model.name": "vit_n_8",
        "model.image_size": 16,
        "train.batch_size": 9,
    }
    words = [f"--config.{name}={value}" for name, value in config.items()]
    answer = children.ask("plan_probe", ["--config=configs/digits_rdrop.py", *words])
    assert answer.error == "", answer
    (facts,) = answer.facts["stages"].values()
    assert facts["data"] == {"train": 18, "test": 15, "classes": 3}
    assert facts["weights"] == []
    assert facts["on_cpu"]
    assert facts["room"] > 0
    assert facts["needed"] == facts["constant"] + 9 * facts["image"]
    assert facts["shared"] == 2 * 2 * 9 * 3 * 16 * 16
    real = small_runs.folders["rdrop_0"] / "checkpoints" / "step_00000020"
    size = sum(path.stat().st_size for path in real.glob("*.safetensors"))
    assert facts["checkpoint"] < size < 1.05 * facts["checkpoint"]


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["--config=digit"], "digit"),
        (["--config.optim.l=1"], "did you mean 'optim.lr'"),
        (["--config.train.batch_size=0"], "train.batch_size"),
        (["--row=a"], "no row 'a'"),
    ],
)
def test_words_that_are_refused(words, refused):
    answer = children.ask("plan_probe", words)
    assert refused in answer.facts["refused"]


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("--config.rdrop.temperature=0.0", "temperature is 0.0"),
        *(
            pytest.param(word, error, marks=pytest.mark.slow)
            for word, error in (
                ("--config.train.batch_size=5000", "larger than the"),
                ("--config.model.drop_rate=0.0", "every drop rate"),
                ("--config.model.num_classes=3", "the data has 10 classes"),
            )
        ),
    ],
)
def test_what_a_run_would_refuse(word, error):
    answer = children.ask("plan_probe", ["--config=configs/digits_rdrop.py", word])
    (line,) = (one for one in run.lines(answer, None, None) if one.name == "run")
    assert line.state == "bad"
    assert error in line.found


def test_data_and_weights_that_are_missing(tmp_path):
    words = [
        "--config=configs/folder.py",
        f"--config.data.root={tmp_path}",
        f"--config.model.pretrained={tmp_path}/a.npz",
    ]
    answer = children.ask("plan_probe", words)
    assert answer.error == "", answer
    (facts,) = answer.facts["stages"].values()
    assert "no class folders" in facts["data"]["error"]
    states = [line.state for line in run.lines(answer, None, None)]
    assert "bad" in states
