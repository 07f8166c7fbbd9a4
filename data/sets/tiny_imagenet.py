"""Tiny ImageNet (200 classes, 64 x 64) from its official zip or the unpacked folder.

Source: https://cs231n.stanford.edu/tiny-imagenet-200.zip. Its test images have no labels, so the
official validation images are the test part here. All images are decoded once into a memory-mapped
cache, which all processes share.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common.errors import UserError, listed
from common.reading import read_json, user_path
from data.files.archive_tree import is_archive, list_archive
from data.files.file_tree import FileTree
from data.files.listed_files import ListedFiles
from data.files.made_once import made_once, states
from data.files.open_tree import cache_folder, open_root
from data.files.stored_files import DiskFile
from data.images.image_files import decode
from data.images.image_folders import image_names
from data.images.images_and_labels import ImageFiles, ImagesAndLabels
from data.layouts.parquet_files import load_parquet
from data.layouts.part_names import parts_among

SIDE = 64  # pixels
_NAME, _CLASSES, _ANNOTATIONS = "tiny-imagenet-200", "wnids.txt", "val_annotations.txt"
_TOGETHER = ("images", "image", "imgs")  # folders of the validation images that are no classes
_FORMAT = 2  # of the cache; raise it when the content of the cache changes
_LARGEST_FILE = 4 << 20  # bytes; the official images have a few thousand
_LARGEST_FACTS = 16 << 20  # bytes
_MOST_IMAGES = 100_000  # of a part


def load(data_config: ConfigDict, part: str) -> ImagesAndLabels:
    """Loads `train` or `test`, the official validation part.

    Args:
        data_config: its `root` is the zip or the folder, or Hugging Face's parquet files.
        part: `train` or `test`.

    Raises:
        UserError: when the files or the cache are missing, damaged or not Tiny ImageNet's.
    """
    parquet = load_parquet(data_config, part)
    if parquet is not None:
        return parquet
    tree, root = _open(data_config), user_path(data_config.root)
    folder = _decoded(tree, root, cache_folder(data_config), data_config.on_corrupt)
    try:
        source, skipped = _read_decoded(folder, part)
    except (KeyError, TypeError, ValueError, EOFError, OSError) as error:
        raise UserError(
            f"{folder}: the decoded images are damaged ({error}); delete that folder"
        ) from None
    if skipped:
        print(
            f"{data_config.root}: {len(skipped)} damaged images are left out, first {skipped[0]}",
            flush=True,
        )
    return source


def load_files(data_config: ConfigDict, part: str) -> ImagesAndLabels:
    """Lists `train` or `test` without decoding anything; reading a damaged image is an error."""
    tree = _open(data_config)
    classes, parts = _lists(tree)
    numbers = {wnid: label for label, wnid in enumerate(classes)}
    _check_classes(tree, numbers, part, parts[part])
    labels = np.array([numbers[wnid] for _, wnid in parts[part]], np.int64)
    files = [tree.file(name) for name, _ in parts[part]]
    return ImagesAndLabels(ImageFiles(files), labels, tuple(classes))


def _open(data_config: ConfigDict) -> FileTree:
    """Returns the tree that has wnids.txt at its top, wherever that is below the root."""
    if not data_config.root:
        raise UserError("data.root is empty; give tiny-imagenet-200.zip or its unpacked folder")
    if not user_path(data_config.root).exists():
        raise UserError(
            f"data.root: {data_config.root} is not there; expected tiny-imagenet-200.zip or the "
            "unpacked folder"
        )
    tree = open_root(data_config)
    for inner in _candidates(tree, cache_folder(data_config)):
        if inner:
            return inner
    raise UserError(
        f"{tree.place()}: can't find wnids.txt, neither here nor below; is it Tiny ImageNet? "
        f"Expected {_NAME}/ with train/, val/ and wnids.txt, or {_NAME}.zip"
    )


def _candidates(tree: FileTree, cache: Path) -> Iterator[FileTree | None]:
    yield _with_classes(tree)
    for name in tree.top_files:
        file = tree.file(name)
        if is_archive(name) and isinstance(file, DiskFile):
            yield _with_classes(list_archive(Path(file.path), cache))


def _with_classes(tree: FileTree) -> FileTree | None:
    """Returns the folder with wnids.txt, or else with classes in train/, nearest to the top."""
    found = [name for name in tree.names if name.rpartition("/")[2].lower() == _CLASSES]
    if not found:
        found = [name for name in tree.folders if re.fullmatch(r"(.*/)?train/n\d{8}", name)]
        found = [name.rpartition("/")[0] for name in found]
    if not found:
        return None
    nearest = min(found, key=lambda name: (name.count("/"), name))
    return tree.below(nearest.rpartition("/")[0])


def _decoded(tree: FileTree, root: Path, cache: Path, on_corrupt: str) -> Path:
    """Returns the folder of the decoded images, which is made when it is not in the cache."""
    files = [root] if root.is_file() else [tree.file(name).on_disk for name in tree.names]
    return made_once(
        cache,
        "tiny-imagenet",
        [_FORMAT, *states(files), on_corrupt],
        f"decoding {root} once",
        lambda folder: _decode_all(tree, folder, on_corrupt),
    )


def _read_decoded(folder: Path, part: str) -> tuple[ImagesAndLabels, list[str]]:
    """Reads one decoded part, and the names of the damaged images."""
    facts = read_json(folder / "facts.json", _LARGEST_FACTS)
    parts = (folder / f"{part}_{name}.npy" for name in ("images", "labels"))
    images, labels = (np.load(path, mmap_mode="r") for path in parts)
    types, shape = (images.dtype, labels.dtype), (len(labels), SIDE, SIDE, 3)
    right = types == (np.uint8, np.int64) and images.shape == shape
    if not right or (len(labels) and not 0 <= labels.min() <= labels.max() < len(facts["classes"])):
        raise ValueError("images and labels do not belong together")
    return ImagesAndLabels(images, np.array(labels), tuple(facts["classes"])), facts["skipped"]


def _decode_all(tree: FileTree, folder: Path, on_corrupt: str) -> None:
    """Decodes both parts into `folder`, with `facts.json`: the classes and the damaged images."""
    classes, parts = _lists(tree)
    labels, skipped = {wnid: label for label, wnid in enumerate(classes)}, []
    for part, files in parts.items():
        _check_classes(tree, labels, part, files)
        if len(files) > _MOST_IMAGES:
            raise UserError(
                f"{tree.place()}: {part} has {len(files)} images, expected up to {_MOST_IMAGES:,}"
            )
        rows = [(name, labels[wnid]) for name, wnid in files]
        skipped += _decode_part(tree, rows, folder, part, on_corrupt)
    (folder / "facts.json").write_text(
        json.dumps({"classes": classes, "skipped": skipped}), encoding="utf-8"
    )


def _check_classes(
    tree: FileTree, labels: dict[str, int], part: str, files: list[tuple[str, str]]
) -> None:
    """Checks that a part has images of known classes, and `train` of each."""
    found = {wnid for _, wnid in files}
    unknown = sorted(found - labels.keys())
    if unknown:
        raise UserError(
            f"{tree.place()}: {part} has the class {unknown[0]}, which wnids.txt does not list"
        )
    without = sorted(labels.keys() - found) if part == "train" else []
    if without or not files:
        whose = f" of {listed(without)}" if files else ""
        raise UserError(f"{tree.place()}: {part} has no images{whose}; is it the whole archive?")


def _lists(tree: FileTree) -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    """Returns the classes, and of `train` and `test` the files with their classes."""
    folders = parts_among(tree.top, tree.place())
    missing = {"train", "val"} - folders.keys()
    if missing:
        raise UserError(f"{tree.place()}: has no folder {' and '.join(sorted(missing))}")
    train = _by_folder(tree, folders["train"])
    own = next((name for name in tree.top_files if name.lower() == _CLASSES), "")
    classes = (
        sorted(tree.text(own, _LARGEST_FILE).split())
        if own
        else sorted({wnid for _, wnid in train})
    )
    different = len(set(classes))
    if different < 2 or different < len(classes):
        raise UserError(
            f"{tree.place()}: wnids.txt lists {len(classes)} classes, of which {different} differ"
        )
    return classes, {"train": train, "test": _validation(tree, folders["val"])}


def _by_folder(tree: FileTree, part: str) -> list[tuple[str, str]]:
    """Returns images in `<part>/<wnid>/` or `<part>/<wnid>/images/`, with their classes."""
    names = [name for name in image_names(tree) if name.startswith(f"{part}/")]
    return [(name, name.split("/")[1]) for name in names if name.count("/") > 1]


def _validation(tree: FileTree, folder: str) -> list[tuple[str, str]]:
    """Returns the validation images with their classes, in the order of the names.

    They are where they are: in class folders, whose names are the labels, or together, with a list
    of them, `val_annotations.txt`.
    """
    sorted_ones = [
        (name, wnid) for name, wnid in _by_folder(tree, folder) if wnid.lower() not in _TOGETHER
    ]
    if sorted_ones:
        return sorted_ones
    lists = [name for name in tree.names if name.rpartition("/")[2] == _ANNOTATIONS]
    if not lists:
        raise UserError(
            f"{tree.place(folder)}: has neither class folders nor {_ANNOTATIONS}, which has the "
            "labels of its images"
        )
    lines = [line for line in tree.text(lists[0], _LARGEST_FILE).splitlines() if line.strip()]
    rows = [(line.split("\t") if "\t" in line else line.split())[:2] for line in lines]
    finder = ListedFiles(tree, [f"{folder}/images", folder])
    found = []
    for number, row in enumerate(rows, 1):
        name = finder.find_name(row[0])
        if len(row) < 2 or not name:
            raise UserError(
                f"{tree.place(lists[0])}: line {number}: "
                + (f"{row[0]} is not there" if len(row) > 1 else "has no label")
            )
        found.append((name, row[1].strip()))
    return sorted(found)


def _decode_part(
    tree: FileTree, files: list[tuple[str, int]], folder: Path, part: str, on_corrupt: str
) -> list[str]:
    """Decodes images into `<part>_images.npy` and their labels into `<part>_labels.npy`.

    Returns:
        The names of damaged images, which are left out.
    """
    pixels, skipped = np.empty((len(files), SIDE, SIDE, 3), np.uint8), []
    labels: list[int] = []
    for name, label in files:
        try:
            image = decode(tree.file(name).read(_LARGEST_FILE), tree.place(name))
            if image.shape != (SIDE, SIDE, 3):
                raise UserError(
                    f"{tree.place(name)} has {image.shape[1]} x {image.shape[0]} pixels, "
                    "expected 64 x 64"
                )
        except UserError as error:
            if on_corrupt == "error":
                raise
            print(f"skipped: {error}", flush=True)
            skipped.append(name)
            continue
        pixels[len(labels)] = image
        labels.append(label)
    np.save(folder / f"{part}_images.npy", pixels[: len(labels)])
    np.save(folder / f"{part}_labels.npy", np.array(labels, np.int64))
    if skipped:
        print(f"{part}: skipped {len(skipped)} of {len(files)} images", flush=True)
    return skipped
