"""Attention maps against transformers that are written in NumPy."""

import re

import numpy as np
import paddle
import pytest
from made_classifiers import classifier_of, disturb, made, random_images
from plain_transformers import cait, linear, state_of, vit

import models
from common.errors import UserError
from inference import attention_maps
from inference.attention_maps import GRAD_CAM, ROLLOUT, last_attention, maps, rollout
from models.builders import Head
from models.families.cait import CaiT
from models.families.rotary import _KINDS, _angles
from models.layers import DropRates

_NEAR = {"rtol": 1e-5, "atol": 1e-5}


def full_rollout(blocks):
    """Multiplies whole matrices `0.5 A + 0.5 I`, upper blocks on the left."""
    product = np.eye(blocks[0].shape[-1])
    for weights in blocks:
        mean = weights.mean(axis=0)
        block = 0.5 * mean + 0.5 * np.eye(len(mean))
        product = block / block.sum(-1, keepdims=True) @ product
    return product


def normalised(image):
    return (image.astype(np.float64) - 127.5) / 127.5


# Model, height and width, parts, the tokens that the head reads, the number of special tokens.
_VITS = {
    "class token": ("vit_n_2", (8, 8), {}, [0], 1),
    "not square": ("vit_n_2", (8, 12), {}, [0], 1),
    "distilled": ("vit_n_2_distilled", (8, 8), {}, [0, 1], 2),
    "distilled, one head": ("vit_n_2_distilled", (8, 8), {"eval_head": "distillation"}, [1], 2),
    "registers": ("vit_n_2", (8, 8), {"registers": 3}, [0], 4),
    "mean of patches": ("vit_n_2", (8, 8), {"pool": "avg"}, range(1, 17), 1),
    "mean of all": ("vit_n_2", (8, 8), {"pool": "avg", "pool_prefix": True}, range(17), 1),
    "no class token": ("vit_n_2", (8, 8), {"pool": "avg", "class_token": False}, range(16), 0),
    "norms of queries": ("vit_n_2", (8, 8), {"qk_norm": True}, [0], 1),
}


@pytest.mark.parametrize("case", _VITS)
def test_vit(case):
    name, size, parts, read, special = _VITS[case]
    classifier = made(name, size, **parts)
    disturb(classifier.model)
    images = random_images(3, *size)
    before = classifier.logits(images)
    rolled, last = rollout(classifier, images), last_attention(classifier, images)
    grid = size[0] // 2, size[1] // 2
    assert rolled.shape == (3, *grid)
    assert last.shape == (3, 3, *grid)
    for image, own_rolled, own_last in zip(images, rolled, last):
        blocks, _ = vit(classifier.model, normalised(image), heads=3)
        expected = full_rollout(blocks)[list(read)].mean(axis=0)[special:]
        np.testing.assert_allclose(own_rolled, expected.reshape(grid), **_NEAR)
        expected = blocks[-1][:, list(read)].mean(axis=1)[:, special:]
        np.testing.assert_allclose(own_last, expected.reshape(3, *grid), **_NEAR)
    np.testing.assert_array_equal(classifier.logits(images), before)  # compiled, as before
    assert rolled.std() > 1e-3, "the maps are too even to tell anything"


def test_plain_transformers_are_the_models():
    """The reference of the tests above computes the same logits."""
    classifier = made("vit_n_2")
    disturb(classifier.model)
    image = random_images(1)
    _, tokens = vit(classifier.model, normalised(image[0]), heads=3)
    expected = linear(tokens[0], state_of(classifier.model), "head")
    np.testing.assert_allclose(classifier.logits(image)[0], expected, rtol=1e-4, atol=1e-4)


def test_rotary_positions():
    classifier = made("vit_n_2", rope="eva", positions=False)
    disturb(classifier.model)
    image = random_images(1)
    angles = _angles(_KINDS["eva"], (4, 4), 16)  # (patches, channels / 2)
    turns = np.exp(1j * np.pad(angles, ((1, 0), (0, 0))))

    def turn(x):  # the channels of a pair are neighbours
        turned = (x[..., 0::2] + 1j * x[..., 1::2]) * turns
        return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)

    blocks, _ = vit(classifier.model, normalised(image[0]), heads=3, turn=turn)
    expected = full_rollout(blocks)[0, 1:].reshape(4, 4)
    np.testing.assert_allclose(rollout(classifier, image)[0], expected, **_NEAR)


def small_cait(size=(8, 12)):
    paddle.seed(0)
    shape = {"embed_dim": 24, "depth": 2, "num_heads": 3, "patch_size": 2, "init_scale": 0.5}
    model = CaiT(size, DropRates(), Head(5), **shape)
    disturb(model)
    return classifier_of(model)


def test_cait():
    classifier, images = small_cait(), random_images(2, 8, 12)
    rolled, last = rollout(classifier, images), last_attention(classifier, images)
    for image, logits, own_rolled, own_last in zip(images, classifier.logits(images), rolled, last):
        talking, classes, token = cait(classifier.model, normalised(image), heads=3)
        expected = linear(token, state_of(classifier.model), "head")
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
        assert min(weights.min() for weights in talking) < 0
        shares = [np.abs(one) / np.abs(one).sum(-1, keepdims=True) for one in talking]
        product = np.eye(25)  # the class token, then 24 patches
        product[1:, 1:] = full_rollout(shares)
        for weights in classes:  # only the class token takes something up
            block = np.eye(25)
            block[0] = 0.5 * block[0] + 0.5 * weights.mean(axis=0)[0]
            product = block @ product
        np.testing.assert_allclose(own_rolled, product[0, 1:].reshape(4, 6), **_NEAR)
        expected = classes[-1][:, 0, 1:].reshape(3, 4, 6)
        np.testing.assert_allclose(own_last, expected, **_NEAR)


def test_batches(monkeypatch):
    """An image has the same map whatever the others are, and how many go through together."""
    classifier, images = made("vit_n_2"), random_images(5)
    disturb(classifier.model)
    together, last = rollout(classifier, images), last_attention(classifier, images)
    monkeypatch.setattr(attention_maps, "_BATCH", 2)
    np.testing.assert_allclose(rollout(classifier, images), together, **_NEAR)
    np.testing.assert_allclose(last_attention(classifier, images), last, **_NEAR)


def test_choice():
    """Attention where tokens attend to all patches; else Grad-CAM, of the predicted classes."""
    images = random_images(2)
    found = maps(made("vit_n_2"), images)
    assert found.kind == ROLLOUT
    assert found.values.shape == (2, 4, 4)
    network = made("resnet_18", 64)
    images = random_images(2, 64, 64)
    found = maps(network, images)
    assert found.kind == GRAD_CAM
    assert found.values.shape == (2, 2, 2)
    with pytest.raises(UserError, match="resnet_18 has no attention"):
        rollout(network, images)


def test_no_map():
    """A network whose features have one place only has no map."""
    from models.families.cnn_levit_t2t import Whole

    net = paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(192, 5))
    assert maps(classifier_of(Whole(net, ("1",), DropRates())), random_images(1)) is None


# Too large for a test, or at a size at which a smaller one is tested.
_LEFT_OUT = re.compile("384|448|512|_[lhm]_|large|huge|giant|gigantic|7b|so150|so400|swin_l")


@pytest.mark.slow
@pytest.mark.parametrize("name", [one for one in models.SUGGESTED if not _LEFT_OUT.search(one)])
def test_every_model(name):
    """Each model has a map of more than one place."""
    size = models.native_size(name)
    classifier, images = made(name, size), random_images(1, size, size)
    found = maps(classifier, images)
    assert found is not None
    assert min(found.values.shape[1:]) > 1
    if np.isfinite(classifier.logits(images)).all():  # fresh weights of RedNet overflow
        assert found.values.min() >= 0
    if found.kind == ROLLOUT:
        assert 0 < found.values.sum() <= 1 + 1e-4
        assert last_attention(classifier, images).shape[2:] == found.values.shape[1:]
