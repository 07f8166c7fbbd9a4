"""Heads of weights files: loaded, cut, or dropped; and errors where they do not fit."""

from __future__ import annotations

import zipfile

import numpy as np
import paddle
import pytest
from conftest import SHARED_DATA

import models
from common.errors import UserError
from engine.state import run_weights as own_weights
from models.weights.names import layouts


@pytest.fixture
def model():
    return models.create("vit_n_2", num_classes=10)


def _arrays(model):
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=value.shape).astype("float32")
        for name, value in model.state_dict().items()
    }


def test_another_head_is_dropped_and_reported(tmp_path):
    source, target = (
        models.create("vit_n_2", num_classes=7),
        models.create("vit_n_2", num_classes=10),
    )
    before = target.head.weight.numpy()
    report = models.assign(target, own_weights.arrays_of(source), "file")
    assert report.dropped == ["head.weight", "head.bias"]
    assert report.initialised == ["head.weight", "head.bias"]
    assert "dropped head.weight" in report.summary()
    assert (target.head.weight.numpy() == before).all()


@pytest.mark.parametrize("name", ["head.weight", "head.bias"])
def test_half_a_head_is_an_error(model, name):
    arrays = _arrays(model)
    del arrays[name]
    with pytest.raises(UserError, match=f"missing: {name}"):
        models.assign(model, arrays, "file")
    with pytest.raises(UserError, match=f"other shapes: {name} .*, the model expects"):
        models.assign(model, {**_arrays(model), name: _arrays(model)[name][..., :7]}, "file")
    other = "head.bias" if name == "head.weight" else "head.weight"
    with pytest.raises(UserError, match=f"missing: {name}"):
        models.assign(model, {**arrays, other: arrays[other][..., :7]}, "file")


def test_a_part_of_another_size_is_an_error():
    arrays = _arrays(models.create("vit_n_2", num_classes=1000))
    with pytest.raises(UserError, match="2 arrays have other shapes: head.weight"):
        models.assign(models.create("vit_n_2", num_classes=3), arrays, "file", (1, 2))


def test_a_head_that_is_not_there_can_not_be_cut(model):
    arrays = {name: array for name, array in _arrays(model).items() if not name.startswith("head.")}
    with pytest.raises(UserError, match="file: has no head of which a part could be taken"):
        models.assign(model, arrays, "file", models.imagenet_rows(("n01443537",)))


def test_two_heads_are_loaded_together_or_not_at_all():
    target = models.create("vit_n_2_distilled", num_classes=10)
    arrays, seven = _arrays(target), _arrays(models.create("vit_n_2_distilled", num_classes=7))
    one = {
        name: seven[name] if name.startswith("head_dist") else array
        for name, array in arrays.items()
    }
    report = models.assign(target, one, "file")
    assert (
        sorted(report.dropped)
        == sorted(report.initialised)
        == sorted(n for n in arrays if n.startswith("head"))
    )
    with pytest.raises(UserError, match="missing: head_dist.weight, head_dist.bias"):
        models.assign(
            target, {n: a for n, a in arrays.items() if not n.startswith("head_dist")}, "file"
        )


def test_what_is_dropped_is_looked_at_too(model):
    arrays = _arrays(model)
    for name, array in (("head.bias", np.full(7, np.nan)), ("head.weight", np.zeros((9, 7)))):
        found = {**arrays, "head.weight": np.zeros((48, 7)), "head.bias": np.zeros(7), name: array}
        with pytest.raises(
            UserError, match=r"head.bias holds values that are not finite|head.weight \[9, 7\]"
        ):
            models.assign(model, found, "file")


def test_the_layout_of_a_head_that_is_square():
    """Shapes do not tell the layout, but the names of PyTorch's and Paddle's batch norms differ."""
    source, target = (models.create("resnet_18", num_classes=512) for _ in range(2))
    arrays = own_weights.arrays_of(source)
    for found in (arrays, layouts.to_timm(source, arrays)):
        models.assign(target, found, "file")
        assert (target.state_dict()["fc.weight"].numpy() == arrays["fc.weight"]).all()


def test_weights_without_a_head_leave_it_new_but_can_not_be_used_as_they_are(model):
    arrays = {name: array for name, array in _arrays(model).items() if not name.startswith("head.")}
    assert models.assign(model, arrays, "file").initialised == ["head.weight", "head.bias"]
    with pytest.raises(UserError, match=r"file: has no head.weight of shape \[48, 10\]"):
        models.assign_all(model, arrays, "file")


def test_a_new_head_on_request(model):
    before = model.head.weight.numpy()
    report = models.assign(model, _arrays(model), "file", head_rows=())
    assert report.dropped == report.initialised == ["head.weight", "head.bias"]
    assert (model.head.weight.numpy() == before).all()


@pytest.mark.parametrize("name", ["vit_n_2", "vit_n_2_distilled", "resnet_18"])
def test_the_part_of_imagenets_head_by_wordnet_id(name):
    source = models.create(name, num_classes=1000)
    names = ("n02124075", "n01443537", "n12768682")
    rows = models.imagenet_rows(names)
    assert rows == (285, 1, 990)  # Egyptian cat, goldfish, buckeye
    source.eval()
    images = paddle.randn([2, 3, 32, 32] if name == "resnet_18" else [2, 3, 8, 8])
    expected = source(images).numpy()[:, rows]
    arrays = own_weights.arrays_of(source)
    for found in (arrays, layouts.to_timm(source, arrays)):
        target = models.create(name, num_classes=3)
        report = models.assign(target, found, "file", rows)
        assert report.dropped == report.initialised == []
        target.eval()
        np.testing.assert_allclose(target(images), expected, rtol=1e-5, atol=1e-6)


def test_no_part_of_another_head(model):
    with pytest.raises(
        UserError, match="head.bias has 10 classes, and its part can be taken of 1000 only"
    ):
        models.assign(model, _arrays(model), "file", (1, 2))
    with pytest.raises(UserError, match="1 of 2 classes are no WordNet ids .*'cat'"):
        models.imagenet_rows(("n02124075", "cat"))


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real images are not here")
def test_tiny_imagenets_classes_are_imagenets():
    with zipfile.ZipFile(SHARED_DATA / "tiny-imagenet-200.zip") as archive:
        names = archive.read("tiny-imagenet-200/wnids.txt").decode().split()
    assert len(set(models.imagenet_rows(names))) == len(names) > 1
