"""(seed, epoch, index) alone decide the augmentation; damaged images are counted."""

from __future__ import annotations

import numpy as np
import pytest

import data
from common.errors import UserError
from configs import default
from data.augment.transforms import TrainTransform


@pytest.fixture
def config(painted):
    config = default.get_config()
    config.model.image_size = 16
    config.data.update(name="folder", root=str(painted), eval_crop=1.0)
    return config


def _batches(config, workers: int, start: int = 0):
    dataset = data.build(config, "train")
    sampler = data.TrainSampler(
        dataset, 8, 1, 9, config.seed, start, config.data.repeats, rank=0, ranks=1
    )
    return [
        (batch.images.numpy(), batch.labels.numpy())
        for batch in data.load(dataset, sampler, workers)
    ]


_ALL = {"crop": "simple", "vertical_flip": 0.5, "repeats": 4}  # and one of each kind


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {**_ALL, "auto_augment": "randaugment", "randaugment_std": 1.0},
        {**_ALL, "auto_augment": "three_augment", "color_jitter": 0.4, "hue_jitter": 0.3},
        {"auto_augment": "autoaugment_imagenet"},
        {"auto_augment": "autoaugment_cifar10", "repeats": 2},
    ],
    ids=str,
)
def test_workers_and_resume_do_not_change_a_bit(config, fields):
    config.data.update(fields)
    alone = _batches(config, 0)
    for other in (_batches(config, 2), [None] * 4 + _batches(config, 0, start=4)):
        for (images, labels), pair in zip(alone, other):
            assert pair is None or ((images == pair[0]).all() and (labels == pair[1]).all())


def test_seed_and_epoch_change_the_augmentation(config):
    dataset = data.build(config, "train")
    same, again, later = dataset[0, 3][0], dataset[0, 3][0], dataset[1, 3][0]
    config.seed = 1
    other = data.build(config, "train")[0, 3][0]
    assert (same == again).all()
    assert (same != later).any()
    assert (same != other).any()


def test_repeats_are_augmented_anew(config):
    config.data.auto_augment = "randaugment"
    dataset = data.build(config, "train")
    several = np.stack([dataset[0, 3, repeat][0] for repeat in range(6)])
    assert len({image.tobytes() for image in several}) == 6
    assert (several == [dataset[0, 3, repeat][0] for repeat in range(6)]).all()
    assert len({dataset[0, 3, repeat][1] for repeat in range(6)}) == 1


def test_a_key_of_two_numbers_has_the_augmentation_it_always_had(config):
    image = data.build(config, "train").source.images[7]
    rng = np.random.default_rng((0x5EED, 0, 2, 7))
    expected = TrainTransform(config.data, 16)(image, rng).transpose(2, 0, 1)
    assert (data.build(config, "train")[2, 7][0] == expected).all()


def test_labels_stay_with_their_images(config):
    """The generated classes differ in the brightest channel, whatever the crop."""
    for images, labels in _batches(config, 0):
        assert (images.mean(axis=(2, 3)).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_image_ends_the_loading(config, painted, workers):
    (painted / "train" / "class_1" / "003.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="003.png"):
        _batches(config, workers)


def test_damaged_image(config, painted):
    bad = sorted((painted / "train" / "class_1").iterdir())[0]
    bad.write_bytes(b"broken")
    dataset = data.build(config, "train")
    with pytest.raises(UserError, match="data.on_corrupt=skip"):
        dataset[0, 12]
    config.data.on_corrupt = "skip"
    image, label, skipped = data.build(config, "train")[0, 12]
    assert (label, skipped) == (1, 1)
    assert image.any()
    assert data.build(config, "train", augment=False)[0, 12][1:] == (data.UNREADABLE, 1)
    assert not np.any(data.build(config, "train", augment=False)[0, 12][0])


def test_views_come_again(config):
    """The view of epoch e is that of e modulo their number: it has the seed of that epoch."""
    endless = data.build(config, "train")
    config.data.views = 3
    dataset = data.build(config, "train")
    views = [dataset[epoch, 3][0] for epoch in range(7)]
    assert all((views[epoch] == endless[epoch % 3, 3][0]).all() for epoch in range(7))
    assert len({view.tobytes() for view in views}) == 3
    assert dataset.view((7, 3)) == (1, 3)
    config.data.repeats = 2
    assert data.build(config, "train").view((7, 3, 1)) == (1, 3, 1)
    assert (data.build(config, "train")[7, 3, 1][0] == endless[1, 3, 1][0]).all()


def test_views_of_evaluation_and_without_augmentation(config):
    config.data.views = 3
    assert data.build(config, "test").view((0, 3)) == (0, 3)
    assert data.build(config, "train", augment=False).view((5, 3, 1)) == (0, 3)
    config.data.update(views=0, crop="none", flip=1.0)
    dataset = data.build(config, "train")
    assert dataset.view((5, 3)) == (0, 3)
    assert (dataset[5, 3][0] == dataset[0, 3][0]).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"crop": "random_resized"},
        {"crop": "simple"},
        {"crop": "padded"},
        {"flip": 0.5},
        {"vertical_flip": 0.5},
        {"auto_augment": "three_augment"},
        {"color_jitter": 0.4},
        {"hue_jitter": 0.3},
    ],
    ids=str,
)
def test_what_is_random(config, fields):
    """Some image comes out in another way in another epoch."""
    config.data.update({"crop": "test", "flip": 0.0, **fields})
    dataset = data.build(config, "train")
    assert dataset.transform.random
    assert any((dataset[0, i][0] != dataset[1, i][0]).any() for i in range(len(dataset)))
