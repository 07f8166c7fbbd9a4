"""Classify images with trained weights.

    python -m tools.predict --weights output/digits_rdrop picture.png photos 'more/*.jpg'

Takes image files, folders (all images below them, sorted) and patterns in quotes, in which **
stands for any folders. Prints one line for each image: file, class, probability. An image that
can't be read is named in a line on standard error; the others are still classified, and the exit
code is 2. The weights, or the folder of their run, carry their config and the names of the classes.
"""

from __future__ import annotations

import argparse
import glob
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import user_path
from common.safetensors_files import weights_file
from program import exits, paddle_setup, tool_arguments

if TYPE_CHECKING:
    import numpy as np

_BATCH = 16  # images that go through the model together
_OF_TRAINING = ", or set data.on_corrupt=skip"  # a remedy that is none here


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.predict", __doc__)
    add = parser.add_argument
    add("--weights", required=True, help="a weights file that this project wrote, or its run")
    add("--json", type=user_path, help="write them there, too, with every class's probability")
    add("images", nargs="+", metavar="IMAGE", help="image files, folders, patterns in quotes")
    return parser.parse_args()


def find(words: Iterable[str]) -> Iterator[Path | UserError]:
    """Yields the image files that words of the command line name, in order.

    Args:
        words: files, folders and patterns.

    Yields:
        Paths; and an error in the place of a folder or a pattern that has no images.
    """
    from data.images.image_folders import images_below

    for word in words:
        path = user_path(word)
        try:
            if path.is_dir():
                found = images_below(path)
            elif glob.has_magic(str(path)) and not path.exists():
                names = sorted(glob.glob(str(path), recursive=True))
                found = [Path(name) for name in names if not Path(name).is_dir()]
            else:
                found = [path]
            yield from found or [UserError(f"{path}: no images there")]
        except UserError as error:
            yield error


def classifier(weights_path: str) -> tuple[Callable, Callable]:
    """Loads a model; returns what reads an image for it, and what classifies a batch of them.

    Returns:
        A function from a path to pixels, uint8 `(3, S, S)`, which raises a `UserError` for an image
        that can't be read; and a function from pixels `(B, 3, S, S)` to a list with a dict for each
        image: the probability of each class, by its name.

    Raises:
        UserError: for weights that do not say what they are for.
    """
    import paddle
    import paddle.nn.functional as F

    import models
    from data.augment.transforms import EvalTransform
    from data.images.image_files import decode
    from engine.state import run_weights
    from models.input_images import normalise

    arrays, config, classes, *_ = run_weights.read(weights_path)
    if config is None:
        raise UserError(
            f"{weights_path} does not name its model and classes; only weights of this project do"
        )
    size, crop, mean, std = (
        *(config.model.image_size, config.data.eval_crop),
        *(config.model.mean, config.model.std),
    )
    if not (size and crop and mean and std):
        raise UserError(
            f"{weights_path}: its config lacks the size of the images, or what they are normalised "
            "with"
        )
    model = models.build(config.model)
    models.assign_all(model, arrays, weights_path)
    model.eval()
    transform = EvalTransform(size, crop, config.data.interpolation)
    upright = config.data.exif_orientation == "apply"  # as in training

    def read(path: Path) -> np.ndarray:
        return transform(decode(path, str(path), upright), None).transpose(2, 0, 1)

    @paddle.no_grad()
    def classify(pixels: np.ndarray) -> list[dict[str, float]]:
        logits = model(normalise(paddle.to_tensor(pixels), config.model))  # (B, C)
        rows = F.softmax(logits, axis=-1).numpy().tolist()
        return [dict(zip(classes, row)) for row in rows]

    return read, classify


def predict(weights_path: str, paths: Iterable[Path]) -> list[dict]:
    """Classifies image files; returns a dict for each, see `classified`.

    Raises:
        UserError: also for the first image that can't be read.
    """
    found = []
    for row in classified(weights_path, paths):
        if isinstance(row, UserError):
            raise row
        found.append(row)
    return found


def classified(weights_path: str, images: Iterable[Path | UserError]) -> Iterator[dict | UserError]:
    """Classifies image files, in batches.

    Args:
        weights_path: of this project.
        images: from `find`.

    Yields:
        In the same order, a dict for each image: `file`, `class`, `probability`, and
        `probabilities` by the name of the class; and an error for each image that can't be read.

    Raises:
        UserError: for weights that do not say what they are for.
    """
    import numpy as np

    read, classify = classifier(weights_path)
    remaining = iter(images)
    while batch := list(itertools.islice(remaining, _BATCH)):
        pixels: dict[int, np.ndarray] = {}
        for place, image in enumerate(batch):
            try:
                if isinstance(image, Path):
                    pixels[place] = read(image)
            except UserError as error:
                batch[place] = UserError(str(error).removesuffix(_OF_TRAINING))
        rows = dict(zip(pixels, classify(np.stack([*pixels.values()])) if pixels else ()))
        for place, image in enumerate(batch):
            yield _named(image, rows[place]) if isinstance(image, Path) else image


def _named(path: Path, probabilities: dict[str, float]) -> dict:
    best = max(probabilities, key=probabilities.__getitem__)
    found = {"file": str(path), "class": best, "probability": probabilities[best]}
    return {**found, "probabilities": probabilities}


def main() -> int:
    """Classifies the images of the command line; returns the exit code."""
    arguments = _arguments()
    report = arguments.json
    tool_arguments.check_output("--json", report, [arguments.weights, *arguments.images])
    paddle_setup.load_paddle()
    images = list(find(arguments.images))
    paths = [image for image in images if isinstance(image, Path)]
    tool_arguments.check_output("--json", report, paths)
    predictions, code = [], exits.DONE
    for row in classified(weights_file(arguments.weights), images):
        if isinstance(row, UserError):
            print(f"error: {row}", file=sys.stderr, flush=True)
            code = exits.BAD_INPUT
        else:
            print(f"{row['file']}  {row['class']}  {row['probability']:.4f}", flush=True)
            predictions.append(row)
    if report and predictions:
        write_json(report, predictions)
    return code


if __name__ == "__main__":
    exits.run_tool(main)
