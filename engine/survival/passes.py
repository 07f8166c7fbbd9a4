"""Passes of images with and without noise; they leave the model and random numbers as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import nn

import models
from common.errors import UserError
from data.augment.transforms import EvalTransform
from data.images.images_and_labels import ImagesAndLabels
from models.layers import batch_copies, changed, noise_layers, watched
from models.multipass import MultiPass

_CHUNK = 32  # images of a pass at a time


class Passed(NamedTuple):
    """What the heads read, `(heads, N, D)`, and the logits `(N, C)`, both float64."""

    features: NDArray[np.float64]
    logits: NDArray[np.float64]


def read_images(source: ImagesAndLabels, config: ConfigDict, count: int) -> NDArray[np.uint8]:
    """Reads images spread evenly over a part of the data, as evaluation sees them.

    Args:
        source: the part; damaged images are left out.
        config: a resolved one.
        count: how many; all, where there are fewer.

    Returns:
        uint8 `(N, 3, S, S)`.
    """
    size, total = config.model.image_size, len(source.labels)
    transform = EvalTransform(size, config.data.eval_crop, config.data.interpolation)
    found = []
    for position in np.linspace(0, total - 1, min(count, total)).astype(int):
        with contextlib.suppress(UserError):
            image = np.asarray(transform(source.images[position], None))
            found.append(image.transpose(2, 0, 1))
    return np.stack(found) if found else np.empty((0, 3, size, size), np.uint8)


@contextlib.contextmanager
def _kept(model: nn.Layer) -> Iterator[None]:
    """A context of passes without gradient, after which model and random numbers are as before.

    All layers are as in evaluation: batch norms read their statistics and do not change them.
    """
    # `paddle.set_rng_state(state, "cpu")` fails in Paddle 2.6
    cpu = paddle.base.core.default_cpu_generator()
    here, on_cpu = paddle.get_rng_state(), cpu.get_state()
    try:
        layers = model.sublayers(include_self=True)
        with changed(layers, training=False), paddle.no_grad():
            yield
    finally:
        cpu.set_state(on_cpu)
        paddle.set_rng_state(here)


def run(
    model: MultiPass,
    images: NDArray[np.uint8],
    config: ConfigDict,
    seed: int | None = None,
    copy: int = 0,
    on_images: Callable[[int], None] = lambda count: None,
) -> Passed:
    """Runs images through a model.

    Args:
        model: of `build_model`; its noise has the rates that its layers have.
        images: uint8 `(N, 3, S, S)`.
        config: of the model.
        seed: of the noise; None: a pass without noise.
        copy: which of the copies this is, where each has a rate of its own.
        on_images: called with the number of images of each chunk when it is done.
    """
    drops = [] if seed is None else [one for part in noise_layers(model).values() for one in part]
    features, logits = [], []
    with _kept(model), changed(drops, training=True), _what_heads_read(model) as read:
        for begin in range(0, len(images), _CHUNK):
            chunk = images[begin : begin + _CHUNK]
            read.clear()
            if seed is not None:
                paddle.seed(seed * 1000 + begin // _CHUNK)
            with batch_copies(range(copy, copy + 1)):
                found = model(models.normalise(paddle.to_tensor(chunk), config.model))
            logits.append(found.numpy().astype(np.float64))
            features.append(np.stack([one.astype("float32").numpy() for one in read]))
            on_images(len(chunk))
    return Passed(np.concatenate(features, axis=1).astype(np.float64), np.concatenate(logits))


@contextlib.contextmanager
def _what_heads_read(model: MultiPass) -> Iterator[list[paddle.Tensor]]:
    """A context in which a list collects what each head reads, behind dropout in front of it."""
    found: list[paddle.Tensor] = []
    layers = dict(model.named_sublayers())
    heads = [layers[name if name in layers else f"net.{name}"] for name in model.heads]
    with watched(heads, before=lambda _, inputs: found.append(inputs[0])):
        yield found
