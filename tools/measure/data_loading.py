"""What one core reads and transforms, for `tools.benchmark data`: ours, paddle.vision's and
torchvision's.

All do the same work: a random resized crop with a flip, or the crop of evaluation; tensors,
normalised, in a batch. Ours come as bytes, which a GPU normalises (and enlarges, with
`data.resize_on=device`); in the rows with `then` the core does that, too. torchvision is no
requirement of this project: it takes part where it is installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import paddle
from PIL import Image

import data
from common.errors import UserError
from data.augment.transforms import EvalTransform, TrainTransform
from data.sets.images_and_labels import ImagesAndLabels
from models.input_images import normalise
from program import config_fields
from tools.measure import peer_timm

_TINY, _CIFAR = 64, 32  # pixels
_STEPS = 10**6  # more batches than anyone measures


def groups(config, data_root: str) -> dict[str, dict[str, Callable[[], float]]]:
    """What is to be compared: by the name of the group and of its member, functions that give the
    seconds of a batch.

    Args:
        config: says the batch, the size, the crops and how pixels are normalised.
        data_root: of Tiny ImageNet, whose images are read; empty: made-up ones.

    Raises:
        UserError: for images that would have to be made smaller.
    """
    if config.model.image_size < _TINY:
        raise UserError(
            f"--image_size is {config.model.image_size}, expected {_TINY} or more, as the images have"
        )
    count = 4 * config.train.batch_size
    sources = {f"made-up images of {side} px": _made_up(count, side) for side in (_TINY, _CIFAR)}
    if data_root:
        tiny = config_fields.changed(config, {"data.name": "tiny_imagenet", "data.root": data_root})
        own = data.build(tiny, "train").source
        sources = {f"Tiny ImageNet, {_TINY} px": own, **dict(list(sources.items())[1:])}
    return {
        f"{'training' if training else 'evaluation'}, {name}, to {config.model.image_size} px": _members(
            config, source, training
        )
        for name, source in sources.items()
        for training in (True, False)
    }


def _made_up(count: int, side: int) -> ImagesAndLabels:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return ImagesAndLabels(images, np.zeros(count, np.int64), ("made up",))


def _members(config, source: ImagesAndLabels, training: bool) -> dict[str, Callable[[], float]]:
    members = {}
    for name, place in (("ours", "host"), ("ours, resize_on=device", "device")):
        dataset = _dataset(config, source, training, place)
        members[name] = _timed(lambda keys, dataset=dataset: _load(dataset, keys), dataset, config)
        then = "then normalised" if place == "host" else "then enlarged, normalised"
        members[f"{name}, {then}"] = _timed(
            lambda keys, dataset=dataset: normalise(_load(dataset, keys).pixels(), config.model),
            dataset,
            config,
        )
    members["paddle.vision"] = _timed(_paddle_vision(config, source, training), dataset, config)
    torchvision = _torchvision(config, source, training)
    return (
        {**members, "torchvision": _timed(torchvision, dataset, config)} if torchvision else members
    )


def _timed(read: Callable[[list], object], dataset, config) -> Callable[[], float]:
    """Reads the next batch of a shuffled epoch, the same for all members, and gives the seconds."""
    batches = iter(data.TrainSampler(dataset, config.train.batch_size, 1, _STEPS, config.seed))

    def step() -> float:
        keys = next(batches)
        started = time.perf_counter()
        read(keys)
        return time.perf_counter() - started

    return step


def _dataset(config, source: ImagesAndLabels, training: bool, place: str) -> data.ImageDataset:
    options, size = config.data, config.model.image_size
    transform = TrainTransform(options, size, config.model.mean) if training else None
    transform = transform or EvalTransform(size, options.eval_crop, options.interpolation)
    return data.ImageDataset(source, transform, training, config.seed, options.on_corrupt, place)


def _load(dataset: data.ImageDataset, keys: list) -> data.Batch:
    return next(data.load(dataset, [keys], workers=0))


def _paddle_vision(config, source: ImagesAndLabels, training: bool) -> Callable[[list], object]:
    from paddle.vision import transforms

    transform = _composed(transforms, config, training, config.data.interpolation)
    return lambda keys: paddle.stack(
        [transform(Image.fromarray(source.images[key[1]])) for key in keys]
    )


def _composed(transforms, config, training: bool, interpolation) -> Callable:
    """Stock transforms of the same work; Paddle has torchvision's names."""
    options, model = config.data, config.model
    size = model.image_size
    if training:
        scale, ratio = options.crop_scale, options.crop_ratio
        crop = [
            transforms.RandomResizedCrop(
                size, scale=scale, ratio=ratio, interpolation=interpolation
            )
        ]
        crop.append(transforms.RandomHorizontalFlip(options.flip))
    else:
        resize = transforms.Resize(round(size / options.eval_crop), interpolation=interpolation)
        crop = [resize, transforms.CenterCrop(size)]
    return transforms.Compose(
        [*crop, transforms.ToTensor(), transforms.Normalize(list(model.mean), list(model.std))]
    )


def _torchvision(
    config, source: ImagesAndLabels, training: bool
) -> Callable[[list], object] | None:
    """PyTorch's loader with torchvision's transforms; None where they are not installed."""
    try:
        with peer_timm.without_torchvision_operators():
            import torch
            from torchvision import transforms
    except ImportError:
        return None
    torch.set_num_threads(1)
    transform = _composed(
        transforms, config, training, transforms.InterpolationMode(config.data.interpolation)
    )

    class Images(torch.utils.data.Dataset):
        def __getitem__(self, index: int):
            return transform(Image.fromarray(source.images[index])), 0

    asked: list[list] = []

    def indices() -> Iterator[list[int]]:
        while True:
            yield [key[1] for key in asked.pop()]

    batches = iter(torch.utils.data.DataLoader(Images(), batch_sampler=indices(), num_workers=0))

    def read(keys: list):
        asked.append(keys)
        return next(batches)

    return read
