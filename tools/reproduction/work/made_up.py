"""Writes made-up data in the official form of a data set, and weights of a nano model.

    python -m tools.reproduction.work.made_up FOLDER --data cifar100 [--model vit_n_8] [--no_images]

The data has as many classes as the real one, with very few images, which show their class by their
colour.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.atomic_writing import atomic_folder
from program import exits, paddle_setup, tool_arguments
from tools.reproduction.published.datasets import DATA_SETS
from tools.reproduction.work import tiny

_NOISE = 80  # of a pixel, at most


def images(
    classes: int, count: int, side: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns made-up images `(N, side, side, 3)`, `count` of each class, and labels `(N,)`."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), count)
    colours = np.random.default_rng(0).integers(0, 256 - _NOISE, (classes, 1, 1, 3))
    pixels = rng.integers(0, _NOISE, (len(labels), side, side, 3)) + colours[labels]
    return pixels.astype(np.uint8), labels.astype(np.int64)


def class_names(name: str) -> list[str]:
    """Returns made-up names of a data set's classes, in order; WordNet ids have eight digits."""
    form = "class_{:03}" if name == "cifar100" else "n1{:07}"
    return [form.format(label) for label in range(DATA_SETS[name].classes)]


def _cifar(folder: Path) -> None:
    """Writes CIFAR-100's unpacked folder; its pickles hold bytes as keys."""
    classes = class_names("cifar100")
    for part, count in (("train", tiny.TRAIN_IMAGES), ("test", tiny.TEST_IMAGES)):
        pixels, labels = images(len(classes), count, 32, part == "test")
        rows = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)  # (N, 3072)
        content = {b"data": rows, b"fine_labels": labels.tolist()}
        (folder / part).write_bytes(pickle.dumps(content, protocol=2))
    names = {b"fine_label_names": [one.encode() for one in classes]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))


def _save(folder: Path, part: str, inside: str, side: int, name: str) -> list[tuple[str, str]]:
    """Writes class folders of JPEG files; returns the names of the files with their classes."""
    count, classes = tiny.TRAIN_IMAGES if part == "train" else tiny.TEST_IMAGES, class_names(name)
    pixels, labels = images(len(classes), count, side, part != "train")
    written = []
    for number, (image, label) in enumerate(zip(pixels, labels)):
        wnid = classes[label]
        place = folder / part / inside.format(wnid=wnid)
        place.mkdir(parents=True, exist_ok=True)
        file = f"{part}_{number}.JPEG"
        Image.fromarray(image).save(place / file)
        written.append((file, wnid))
    return written


def _tiny_imagenet(folder: Path) -> None:
    wnids = "\n".join(class_names("tiny_imagenet"))
    (folder / "wnids.txt").write_text(wnids + "\n", encoding="utf-8")
    _save(folder, "train", "{wnid}/images", 64, "tiny_imagenet")
    written = _save(folder, "val", "images", 64, "tiny_imagenet")
    lines = [f"{name}\t{wnid}\t0\t0\t62\t62\n" for name, wnid in written]
    (folder / "val" / "val_annotations.txt").write_text("".join(lines), encoding="utf-8")


def _imagenet(folder: Path) -> None:
    for part in ("train", "val"):
        _save(folder, part, "{wnid}", 48, "imagenet")


_WRITERS = {"cifar100": _cifar, "tiny_imagenet": _tiny_imagenet, "imagenet": _imagenet}


def write_data(name: str, target: Path) -> None:
    """Writes made-up data; the folder appears when it is complete."""
    with atomic_folder(target) as folder:
        _WRITERS[name](folder)


def write_weights(model_name: str, classes: list[str], target: Path) -> None:
    """Writes the weights of a nano model that was not trained, with a seed of its own."""
    paddle_setup.load_paddle()
    import paddle

    import models
    from configs import default
    from engine.state import run_weights
    from program.config import config_fields

    paddle.seed(0)
    model = models.create(model_name, num_classes=len(classes), image_size=tiny.SIDE)
    stats = {"model.mean": (0.5, 0.5, 0.5), "model.std": (0.5, 0.5, 0.5)}
    own = {"model.name": model_name, "model.image_size": tiny.SIDE, **stats}
    config = config_fields.changed(
        default.get_config(), {**own, "data.eval_crop": 1.0, "data.interpolation": "bilinear"}
    )
    run_weights.save(target, run_weights.arrays_of(model), config, tuple(classes))


def main() -> int:
    """Writes what the command line names and what is not there yet; returns the exit code."""
    parser = tool_arguments.ArgumentParser("tools.reproduction.work.made_up", __doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", choices=tuple(_WRITERS), required=True)
    parser.add_argument("--no_images", action="store_true", help="the weights alone")
    parser.add_argument("--model", help="write its weights, too")
    arguments = parser.parse_args()
    data, weights = arguments.folder / tiny.DATA, arguments.folder / tiny.WEIGHTS
    if not arguments.no_images and not data.is_dir():
        write_data(arguments.data, data)
    if arguments.model and not weights.is_file():
        write_weights(arguments.model, class_names(arguments.data), weights)
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
