"""Measures what one core reads and transforms: ours, paddle.vision's and torchvision's way.

All do the same work: a random resized crop with a flip, or the crop of evaluation; tensors,
normalised, in a batch. Ours come as bytes, which a GPU normalises (and enlarges, with
`data.resize_on=device`); in the rows with `then` the core does that, too. torchvision is not a
requirement of this project: it takes part where it is installed.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable

import numpy as np
import paddle
from ml_collections import ConfigDict
from PIL import Image

import data
from common.errors import UserError
from data.augment.transforms import EvalTransform, TrainTransform
from data.images.images_and_labels import ImagesAndLabels
from models.input_images import normalise
from program.config import config_fields
from tools.measure import interleaved, peer_timm, timed_steps

Reader = Callable[[list], object]  # reads the images of some keys, `(epoch, index)`, as a batch

_TINY, _CIFAR = 64, 32  # pixels
_STEPS = 10**6  # more batches than anyone measures


def measure(arguments: argparse.Namespace) -> dict:
    """Measures one group after the other; the members of a group take turns.

    Raises:
        UserError: for images that would have to be made smaller.
    """
    rows = []
    for name, steps in groups(timed_steps.config_of(arguments), arguments.data_root).items():
        print(f"{name}:", flush=True)
        found = interleaved.measure(steps, arguments.rounds)
        rows += [{"group": name, **row} for row in interleaved.table(found, arguments.batch)]
    speed, seconds = rows[0]["images_per_second"], rows[0]["seconds"]
    return {"images_per_second": speed, "seconds": seconds, "rows": rows}


def groups(config: ConfigDict, data_root: str) -> dict[str, dict[str, interleaved.Step]]:
    """Returns what is compared: by the name of a group and of its member, who reads a batch.

    Args:
        config: decides the batch, the size, the crops and how pixels are normalised.
        data_root: of Tiny ImageNet, whose images are read; empty: made-up ones.

    Raises:
        UserError: for images that would have to be made smaller.
    """
    size, count = config.model.image_size, 4 * config.train.batch_size
    if size < _TINY:
        raise UserError(f"--image_size is {size}, expected {_TINY} or more, as the images have")
    name = "Tiny ImageNet" if data_root else "made-up images of"
    sources = {
        f"{name} {_TINY} px": small_images(config, data_root, count),
        f"made-up images of {_CIFAR} px": _made_up(count, _CIFAR),
    }
    return {
        f"{what}, {name}, to {size} px": _members(config, source, what == "training")
        for name, source in sources.items()
        for what in ("training", "evaluation")
    }


def small_images(config: ConfigDict, data_root: str, count: int) -> ImagesAndLabels:
    """Returns images of 64 pixels: of Tiny ImageNet, or, without its root, made-up ones.

    Args:
        config: of the transforms; where the data lies does not matter.
        data_root: of Tiny ImageNet, or empty.
        count: of made-up images.
    """
    if not data_root:
        return _made_up(count, _TINY)
    tiny = config_fields.changed(config, {"data.name": "tiny_imagenet", "data.root": data_root})
    return data.build(tiny, "train").source


def _made_up(count: int, side: int) -> ImagesAndLabels:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return ImagesAndLabels(images, np.zeros(count, np.int64), ("made up",))


def _members(config: ConfigDict, source: ImagesAndLabels, training: bool) -> dict:
    """Returns who reads a batch of a group, by the name of the member."""
    readers = {}
    for name, place, then in (
        ("ours", "host", "normalised"),
        ("ours, resize_on=device", "device", "enlarged, normalised"),
    ):
        dataset = _dataset(config, source, training, place)
        readers[name] = functools.partial(_load, dataset)
        readers[f"{name}, then {then}"] = functools.partial(_load_pixels, dataset, config)
    readers["paddle.vision"] = _paddle_vision(config, source, training)
    torchvision = _torchvision(config, source, training)
    if torchvision:
        readers["torchvision"] = torchvision
    return {name: _timed(read, dataset, config) for name, read in readers.items()}


def _timed(read: Reader, dataset: data.ImageDataset, config: ConfigDict) -> interleaved.Step:
    """Returns a step that reads the next batch of a shuffled epoch, the same for all members."""
    batches = iter(data.TrainSampler(dataset, config.train.batch_size, 1, _STEPS, config.seed))

    def step() -> float:
        keys = next(batches)
        started = time.perf_counter()
        read(keys)
        return time.perf_counter() - started

    return step


def _dataset(config: ConfigDict, source: ImagesAndLabels, training: bool, place: str):
    options, size = config.data, config.model.image_size
    if training:
        transform = TrainTransform(options, size, config.model.mean)
    else:
        transform = EvalTransform(size, options.eval_crop, options.interpolation)
    return data.ImageDataset(source, transform, training, config.seed, options.on_corrupt, place)


def _load(dataset: data.ImageDataset, keys: list) -> data.Batch:
    return next(data.load(dataset, [keys], workers=0))


def _load_pixels(dataset: data.ImageDataset, config: ConfigDict, keys: list) -> paddle.Tensor:
    """Returns the batch as the model takes it: enlarged where that is left to do, normalised."""
    return normalise(_load(dataset, keys).pixels(), config.model)


def _paddle_vision(config: ConfigDict, source: ImagesAndLabels, training: bool) -> Reader:
    from paddle.vision import transforms

    transform = _composed(transforms, config, training, config.data.interpolation)
    return _reader(source, transform, paddle.stack)


def _torchvision(config: ConfigDict, source: ImagesAndLabels, training: bool) -> Reader | None:
    """Returns who reads with torchvision's transforms; None where they are not installed."""
    try:
        with peer_timm.without_torchvision_operators():
            import torch
            from torchvision import transforms
    except ImportError:
        return None
    torch.set_num_threads(1)
    interpolation = transforms.InterpolationMode(config.data.interpolation)
    return _reader(source, _composed(transforms, config, training, interpolation), torch.stack)


def _reader(source: ImagesAndLabels, transform: Callable, stack: Callable) -> Reader:
    return lambda keys: stack([transform(Image.fromarray(source.images[key[1]])) for key in keys])


def _composed(transforms, config: ConfigDict, training: bool, interpolation) -> Callable:
    """Returns stock transforms that do the same work; Paddle has torchvision's names."""
    options, model = config.data, config.model
    crop = [
        transforms.Resize(round(model.image_size / options.eval_crop), interpolation=interpolation),
        transforms.CenterCrop(model.image_size),
    ]
    if training:
        crop = [
            transforms.RandomResizedCrop(
                model.image_size,
                scale=options.crop_scale,
                ratio=options.crop_ratio,
                interpolation=interpolation,
            ),
            transforms.RandomHorizontalFlip(options.flip),
        ]
    return transforms.Compose(
        [*crop, transforms.ToTensor(), transforms.Normalize(list(model.mean), list(model.std))]
    )
