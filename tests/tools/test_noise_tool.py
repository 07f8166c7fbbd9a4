"""The tool as a user runs it: its tables, its files, and what it refuses."""

from __future__ import annotations

import json
import re

import pytest
from in_process import run_here
from PIL import Image

import models
from engine.state.run_weights import arrays_of

_SMALL = ("--config=configs/digits_rdrop.py", "--images=8", "--rates=0.1,0.01")


def test_the_digits(tmp_path):
    files = tmp_path / "found.json", tmp_path / "found.png"
    done = run_here("tools.noise", *_SMALL, f"--json={files[0]}", f"--png={files[1]}")
    assert (done.returncode, done.stderr) == (0, "")
    found, picture = json.loads(files[0].read_text()), Image.open(files[1])
    assert picture.width > 500
    assert list(found["places"]) == [
        "dropout",
        "positions",
        "projection",
        "mlp",
        "attention",
        "path",
    ]
    assert (found["images"], found["split"], found["weights"]) == (8, "val", "")
    for row in found["places"].values():
        assert [point["rate"] for point in row["points"]] == [0.01, 0.1]
        weak, strong = row["points"]
        assert 1 > weak["survival"] > strong["survival"]
        assert weak["kl"] < strong["kl"]
        assert len(weak["passes"]) == 2
    line = re.search(
        r"^behind the positions +model\.embed_drop_rate +(\S+) +(\S+) ", done.stdout, re.M
    )
    values = [point["survival"] for point in found["places"]["positions"]["points"]]
    assert [float(one) for one in line.groups()] == pytest.approx(values, abs=0.005)
    own = found["own"]
    assert own["fields"] == {"model.drop_rate": 0.1}
    assert own["survival"] == found["places"]["dropout"]["points"][1]["survival"]
    assert f"model.drop_rate=0.1: {own['survival']:.2f} survives" in done.stdout
    assert "below the lowest tried" in done.stdout
    assert "the weights are new" in done.stdout


def test_again_is_the_same(tmp_path):
    for name in ("one", "other"):
        run_here("tools.noise", *_SMALL, "--rates=0.1", f"--json={tmp_path / name}")
    assert (tmp_path / "one").read_text() == (tmp_path / "other").read_text()


def test_what_is_said_of_head_and_noise(tmp_path):
    few = ("tools.noise", *_SMALL, "--rates=0.1")
    none = ("--config.model.drop_rate=0.0", "--config.rdrop.copies=1")
    done = run_here(*few, "--config.model.head_init=zero", *none)
    assert "KL between the passes: 0 everywhere, the head is new (zero)" in done.stdout
    assert "the config itself has no noise" in done.stdout
    weights = tmp_path / "weights.safetensors"
    models.write_arrays(
        weights, arrays_of(models.create("vit_n_8", num_classes=10, image_size=16)), {"format": 1}
    )
    shape = ("--config.model.name=vit_n_8", "--config.model.image_size=16")
    done = run_here(*few, *shape, f"--config.model.pretrained={weights}", "--split=train")
    assert "(the head: that of the weights)" in done.stdout
    assert f"weights: {weights}; 8 training images of digits, 2 passes" in done.stdout


def test_a_network_with_dropout_in_front_of_its_head():
    shape = ("--config.model.name=resnet_18", "--config.model.image_size=32")
    done = run_here("tools.noise", *_SMALL, *shape, "--passes=3")
    assert done.returncode == 0, done.stderr
    assert "in front of the classifier" in done.stdout
    assert "attention" not in done.stdout
    assert "8 held-out images of digits, 3 passes" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images=1"], "--images is 1, expected 2 to 10000"),
        (["--passes=1"], "--passes is 1, expected 2 to 100"),
        (["--rates=0.1,much"], "--rates: 'much' is no drop rate"),
        (["--rates=0"], "--rates: '0' is no drop rate above 0 and below 1"),
        (["--rates=1"], "--rates: '1' is no drop rate"),
        (["--rates=nan"], "--rates: 'nan' is no drop rate"),
        (["--rates=" + ",".join(f"0.{number:03d}" for number in range(1, 60))], "at most 50"),
        (["--split=validation"], "--split is 'validation', expected one of auto, train, val, test"),
        (["--png={t}/found.gif"], "ends in none of .png"),
        (["--json={t}"], "is a folder"),
        (["--config.model.drop_rat=0.1"], "did you mean 'model.drop_rate'"),
        (["--config=absent.py"], "absent.py is not a file"),
        (["--config.model.pretrained={t}/absent.pth"], "absent.pth"),
        (["--config.data.name=folder", "--config.data.root={t}/absent"], "absent"),
        (["--variants", "--config.model.name=resnet_18"], "--variants is for ViT and DeiT"),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path):
    done = run_here("tools.noise", *_SMALL, *(word.format(t=tmp_path) for word in words))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_experiments(tmp_path):
    file = tmp_path / "found.json"
    done = run_here("tools.noise", *_SMALL, "--variants", f"--json={file}")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(file.read_text())["variants"]
    assert list(found["survival"])[:2] == ["usual dropout", "means of the channels kept"]
    assert all(len(values) == 2 for values in found["survival"].values())
    assert len(found["branches"]) == 8
    assert "before the last linear layers" in done.stdout
