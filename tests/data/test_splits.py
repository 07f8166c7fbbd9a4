"""Which training images are held out, which have labels, and which are unlabelled."""

import itertools

import numpy as np
import pytest
from small_data import small_config

import data
from common.errors import UserError


def test_holdout_and_few_labels():
    config = small_config("digits", holdout=0.1)
    train, validation = (data.build(config, split) for split in ("train", "val"))
    assert (len(train), len(validation)) == (1167, 130) == (data.facts(config)[0], 130)
    assert not set(train.source.images.indices) & set(validation.source.images.indices)
    config.data.labels_per_class = 10
    few = data.build(config, "train")
    assert np.bincount(few.source.labels).tolist() == [10] * 10
    assert set(few.source.images.indices) <= set(train.source.images.indices)
    config.seed = 1
    assert set(data.build(config, "train").source.images.indices) != set(few.source.images.indices)
    config.data.labels_per_class = 1000
    with pytest.raises(UserError, match="has only"):
        data.build(config, "train")
    with pytest.raises(UserError, match="10000 labels of 10 classes, but 1167 images"):
        data.facts(config)


def test_wrong_labels():
    """A share of the training labels, never of the own class, by the seed; others stay."""
    config = small_config("digits", holdout=0.1)
    parts = {split: data.build(config, split).source for split in ("train", "val", "test")}
    config.data.label_noise = 0.4
    noisy = data.build(config, "train").source
    assert noisy.images.indices.tolist() == parts["train"].images.indices.tolist()
    wrong = noisy.labels != parts["train"].labels
    assert wrong.sum() == round(0.4 * 1167)
    moved = (noisy.labels - parts["train"].labels)[wrong] % 10
    assert set(moved.tolist()) == set(range(1, 10))  # 467 draws of 9: about 52 each
    assert np.bincount(moved)[1:].min() > 25
    assert data.build(config, "train").source.labels.tolist() == noisy.labels.tolist()
    for split in ("val", "test"):
        assert data.build(config, split).source.labels.tolist() == parts[split].labels.tolist()
    config.seed = 1
    other = data.build(config, "train").source.labels != parts["train"].labels
    assert other.sum() == wrong.sum()
    assert (other != wrong).any()


def test_images_without_labels():
    """Those that labels_per_class leaves out, or a folder's; never held-out ones."""
    config = small_config("digits", holdout=0.1, labels_per_class=10)
    train, validation, rest = (
        data.build(config, split) for split in ("train", "val", "unlabelled")
    )
    assert rest.training
    found = [set(part.source.images.indices) for part in (train, validation, rest)]
    assert [len(one) for one in found] == [100, 130, 1067]
    assert not any(a & b for a, b in itertools.combinations(found, 2))
    config.data.labels_per_class = 0
    with pytest.raises(UserError, match=r"set data.unlabelled_root to a folder of images"):
        data.build(config, "unlabelled")


def test_a_folder_of_images_without_labels(painted):
    config = small_config("digits", unlabelled_root=str(painted / "train"))
    images = data.build(config, "unlabelled")
    assert len(images) == 36
    assert images[0, 0][0].shape == (3, 8, 8)
    config.data.unlabelled_root = str(painted / "nothing")
    with pytest.raises(UserError, match="data.unlabelled_root: .* is not a folder"):
        data.build(config, "unlabelled")


def test_unknown_names():
    with pytest.raises(UserError, match="did you mean 'cifar100'"):
        data.build(small_config("cifar-100"), "train")
    with pytest.raises(UserError, match="split 'tests'"):
        data.build(small_config("digits"), "tests")
