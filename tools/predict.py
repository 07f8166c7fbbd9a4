"""Classify images with trained weights.

    python -m tools.predict --weights output/digits_rdrop picture.png photos 'more/*.jpg'
    python -m tools.predict --weights W photos --top 5 --csv out.csv --copy_to sorted
    find . -name '*.jpg' | python -m tools.predict --weights W -
    curl -s https://host/cat.jpg | python -m tools.predict --weights W -
    python -m tools.predict --weights hf/OWNER/NAME --classes labels.txt photos

IMAGE is an image file, a folder (all images below it, sorted), a pattern in quotes, in which **
stands for any folders, an http(s) address, or - for standard input: a path in each line, or the
bytes of one image. Prints one line for each image: file, class, probability. Images that can't be
read are named at the end, on standard error; the others are still classified, and the exit code is
2. Weights of this project, or the folder of their run, carry their model and the names of the
classes; docs/weights.md lists the others that are read.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import UserError, one_line
from common.reading import user_path
from common.safetensors_files import weights_file
from program import exits, paddle_setup, tool_arguments

if TYPE_CHECKING:
    from inference import Classifier, Prediction
    from inference.image_words import Found

_BATCH = 64  # with 16 the program takes a tenth longer than val.py
_LIST = "a text with the path of an image in each line; a class behind it is passed over"
_WIDEST = 60  # columns of the names of files in a terminal


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.predict", __doc__)
    add = parser.add_argument
    add("--weights", required=True, help="the weights, or the folder of a run")
    add("--list", type=user_path, action="append", default=[], metavar="FILE", help=_LIST)
    add("--top", type=_positive, default=1, metavar="N", help="show the N most probable classes")
    add("--csv", type=user_path, metavar="FILE", help="write them there, too, as a table")
    add("--json", type=user_path, help="write them there, too, with every class's probability")
    add("--copy_to", type=user_path, metavar="DIR", help="copy the images into DIR/<class>/, too")
    add("--batch", type=_positive, default=_BATCH, help="images that go through the model together")
    add("--model", default="auto", help="for weights that do not tell it: a name of tools.models")
    add("--classes", default="", metavar="FILE", help="names of the classes, one in each line")
    add("images", nargs="*", metavar="IMAGE", help="files, folders, patterns, addresses, or -")
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is {text}, expected 1 or more")
    return int(text)


def predict(weights_path: str, paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Classifies image files; returns a dict for each, with the fields of `--json`.

    Raises:
        UserError: also for the first image that can't be read.
    """
    from inference import load
    from inference.result_files import row_of

    paths = list(paths)
    return [row_of(str(path), one) for path, one in zip(paths, load(weights_path)(paths))]


def classified(
    classifier: Classifier, images: Iterable[Found], batch: int = _BATCH
) -> Iterator[tuple[Found, Prediction | UserError]]:
    """Classifies what `inference.image_words` has found, in the same order."""
    from inference import image_words
    from inference.reading_ahead import in_order

    have = in_order(image_words.fetched, images, ahead=2 * batch, workers=4)
    shown, given = itertools.tee(have)
    found = (one if isinstance(one, UserError) else one.image for one in given)
    return zip(shown, classifier.stream(found, batch))


def _check(arguments: argparse.Namespace) -> None:
    """Checks what needs neither Paddle nor the images."""
    if not arguments.images and not arguments.list:
        raise UserError("the following arguments are required: IMAGE, or --list FILE")
    inputs = [arguments.weights, *arguments.list, *arguments.images]
    targets = [
        tool_arguments.check_output(f"--{name}", getattr(arguments, name), inputs)
        for name in ("json", "csv")
    ]
    if targets[0] and targets[0] == targets[1]:
        raise UserError(f"--csv: {targets[1]} is the file of --json, too; give another one")
    if arguments.copy_to:
        tool_arguments.check_folder("--copy_to", arguments.copy_to)


def _found(arguments: argparse.Namespace) -> list[Found]:
    """Returns the images of the command line; no file that will be written is one of them."""
    from inference import image_words, sorted_copies

    if arguments.copy_to:
        sorted_copies.check_apart(arguments.copy_to, map(user_path, arguments.images))
    listed = itertools.chain.from_iterable(map(image_words.find_listed, arguments.list))
    images = [*image_words.find(arguments.images), *listed]
    paths = [
        one.image
        for one in images
        if not isinstance(one, UserError) and isinstance(one.image, Path)
    ]
    for name in ("json", "csv"):
        tool_arguments.check_output(f"--{name}", getattr(arguments, name), paths)
    return images


class _Table:
    """Prints a line for each image: with columns in a terminal, for people; else as it comes.

    Args:
        names: of the images.
        classes: that there are.
    """

    def __init__(self, names: Iterable[str], classes: Iterable[str]):
        self._widths = (0, 0)
        if sys.stdout.isatty():
            widest = (max(map(_columns, texts), default=0) for texts in (names, classes))
            first, second = (min(width, _WIDEST) for width in widest)
            self._widths = first, second

    def line(self, name: str, pairs: Iterable[tuple[str, float]]) -> str:
        cells = [_padded(one_line(name), self._widths[0])]
        for class_name, probability in pairs:
            cells.append(f"{_padded(one_line(class_name), self._widths[1])}  {probability:.4f}")
        return "  ".join(cells)


def _columns(text: str) -> int:
    """Returns how many columns of a terminal a text takes: Chinese letters and emoji take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _columns(text))


def _run(arguments: argparse.Namespace, images: list[Found], classifier: Classifier) -> list[str]:
    """Classifies images, and shows, writes and copies the results.

    Returns:
        What is wrong with each image that could not be read.
    """
    from engine.results.console import progress_bar
    from inference.result_files import ResultFiles
    from inference.sorted_copies import SortedCopies

    names = [one.name for one in images if not isinstance(one, UserError)]
    table, failed = _Table(names, classifier.classes), []
    copies = SortedCopies(arguments.copy_to, classifier.classes) if arguments.copy_to else None
    files = ResultFiles(arguments.json, arguments.csv, arguments.top)
    with progress_bar(len(images)) as bar, files:
        say = print if bar.disable else bar.write
        for found, prediction in classified(classifier, images, arguments.batch):
            bar.update()
            if isinstance(prediction, UserError) or isinstance(found, UserError):
                failed.append(str(prediction))
                continue
            say(table.line(found.name, prediction.top(arguments.top)))
            sys.stdout.flush()
            files.add(found.name, prediction)
            if copies:
                copies.add(found.image, found.file_name, prediction.name)
    if copies:
        print(copies.summary())
    return failed


def main() -> int:
    """Classifies the images of the command line; returns the exit code."""
    arguments = _arguments()
    _check(arguments)
    paddle_setup.load_paddle()
    from inference import load

    images = _found(arguments)
    classifier = load(weights_file(arguments.weights), arguments.model, arguments.classes)
    for sentence in classifier.said:
        print(f"weights: {sentence}", file=sys.stderr)
    failed = _run(arguments, images, classifier)
    sys.stdout.flush()
    for problem in failed:
        print(f"error: {problem}", file=sys.stderr, flush=True)
    if len(failed) > 1:
        print(f"error: {len(failed)} of {len(images)} could not be read", file=sys.stderr)
    return exits.BAD_INPUT if failed else exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
