"""Tiny ImageNet (200 classes, 64 x 64) from its official zip or the unpacked folder.

Source: https://cs231n.stanford.edu/tiny-imagenet-200.zip. Its test images have no labels, so the
official validation images are the test part here. All images are decoded once into a memory-mapped
cache, which all processes share.
"""

import fcntl
import hashlib
import json
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common.atomic_writing import atomic_folder
from common.errors import UserError, listed
from common.reading import read_bytes, read_json, user_path
from common.zip_files import open_zip
from data.images.image_files import decode
from data.images.images_and_labels import ImagesAndLabels

SIDE = 64  # pixels
_NAME, _PREFIX = "tiny-imagenet-200", "tiny-imagenet-200/"
_FORMAT = 1  # of the cache; raise it when the content of the cache changes
_LARGEST_FILE = 4 << 20  # bytes; the official images have a few thousand
_MOST_MEMBERS = 200_000  # of the zip; the official one has 120,609
_LARGEST_FACTS = 16 << 20  # bytes
_MOST_IMAGES = 100_000  # of a part


def load(data_config: ConfigDict, part: str) -> ImagesAndLabels:
    """Loads `train` or `test`, the official validation part.

    Args:
        data_config: its `root` is the zip or the folder.
        part: `train` or `test`.

    Raises:
        UserError: when the files or the cache are missing, damaged or not Tiny ImageNet's.
    """
    cache = user_path(data_config.cache_dir or "~/.cache/rdrop")
    folder = _decoded(_find(data_config.root), cache, data_config.on_corrupt)
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


def _find(root: str) -> Path:
    """Returns the zip or the unpacked folder; the root is one of them, or a folder with one."""
    path = user_path(root)
    if not root:
        raise UserError("data.root is empty; give tiny-imagenet-200.zip or its unpacked folder")
    if path.is_dir() and not (path / "wnids.txt").is_file():
        inside = [path / _NAME, path / f"{_NAME}.zip"]
        path = next(filter(Path.exists, inside), inside[0])
    if not path.exists():
        raise UserError(
            f"data.root: {path} is not there; expected tiny-imagenet-200.zip or the unpacked folder"
        )
    return path


def _decoded(root: Path, cache: Path, on_corrupt: str) -> Path:
    """Returns the folder of the decoded images, which is made when it is not in the cache."""
    files = [root] if root.is_file() else _files_below(root)
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    key = f"{_FORMAT} {root.resolve()} {states} {on_corrupt}"
    folder = cache / f"tiny-imagenet-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several processes may start: the first one decodes
            if not folder.is_dir():
                print(f"decoding {root} once into {folder}", flush=True)
                with atomic_folder(folder) as temporary:
                    _decode_all(_Archive(root), temporary, on_corrupt)
    except OSError as error:
        raise UserError(
            f"{cache}: can't write the cache there ({error}); set data.cache_dir to another folder"
        ) from None
    return folder


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


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


class _Archive:
    """The zip or the folder, read in the same way: names are relative to `tiny-imagenet-200/`."""

    def __init__(self, root: Path):
        self.root = root
        self._zip = open_zip(root, _MOST_MEMBERS) if root.is_file() else None
        if self._zip:
            names = self._zip.namelist()
        else:
            names = [_PREFIX + path.relative_to(root).as_posix() for path in _files_below(root)]
        self.names = sorted({name[len(_PREFIX) :] for name in names if name.startswith(_PREFIX)})

    def read(self, name: str) -> bytes:
        try:
            if self._zip:
                if self._zip.getinfo(_PREFIX + name).file_size > _LARGEST_FILE:
                    raise UserError(f"{self.root}: {name} is too large for Tiny ImageNet")
                return self._zip.read(_PREFIX + name)
            if ".." in name.split("/") or name.startswith("/"):
                raise UserError(f"{self.root}: {name} is outside of the folder: it is refused")
            return read_bytes(self.root / name, _LARGEST_FILE)
        except UserError:
            raise
        except Exception as error:  # a damaged archive raises almost anything
            raise UserError(
                f"{self.root}: can't read {name} ({error}); is it Tiny ImageNet?"
            ) from None


def _decode_all(archive: _Archive, folder: Path, on_corrupt: str) -> None:
    """Decodes both parts into `folder`, with `facts.json`: the classes and the damaged images."""
    classes, parts = _lists(archive)
    labels, skipped = {wnid: label for label, wnid in enumerate(classes)}, []
    for part, files in parts.items():
        found = {wnid for _, wnid in files}
        unknown = sorted(found - labels.keys())
        if unknown:
            raise UserError(
                f"{archive.root}: {part} has the class {unknown[0]}, which wnids.txt does not list"
            )
        without = sorted(labels.keys() - found) if part == "train" else []
        if without or not files:
            whose = f" of {listed(without)}" if files else ""
            raise UserError(
                f"{archive.root}: {part} has no images{whose}; is it the whole archive?"
            )
        if len(files) > _MOST_IMAGES:
            raise UserError(
                f"{archive.root}: {part} has {len(files)} images, expected up to {_MOST_IMAGES:,}"
            )
        rows = [(name, labels[wnid]) for name, wnid in files]
        skipped += _decode_part(archive, rows, folder, part, on_corrupt)
    (folder / "facts.json").write_text(
        json.dumps({"classes": classes, "skipped": skipped}), encoding="utf-8"
    )


def _lists(archive: _Archive) -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    """Returns the classes, and of `train` and `test` the files with their classes."""
    try:
        classes = sorted(archive.read("wnids.txt").decode().split())
        lines = archive.read("val/val_annotations.txt").decode().splitlines()
        rows = [line.split("\t")[:2] for line in lines if line]
        test = sorted((f"val/images/{name}", wnid) for name, wnid in rows)
    except ValueError as error:
        raise UserError(
            f"{archive.root}: wnids.txt or val_annotations.txt is not readable ({error})"
        ) from None
    different = len(set(classes))
    if different < 2 or different < len(classes):
        raise UserError(
            f"{archive.root}: wnids.txt lists {len(classes)} classes, of which {different} differ"
        )
    # train/<wnid>/images/<name>
    parts = [(name, name.split("/")) for name in archive.names if name.startswith("train/")]
    train = [(name, way[1]) for name, way in parts if len(way) == 4 and way[2] == "images"]
    return classes, {"train": train, "test": test}


def _decode_part(
    archive: _Archive, files: list[tuple[str, int]], folder: Path, part: str, on_corrupt: str
) -> list[str]:
    """Decodes images into `<part>_images.npy` and their labels into `<part>_labels.npy`.

    Returns:
        The names of damaged images, which are left out.
    """
    pixels, skipped = np.empty((len(files), SIDE, SIDE, 3), np.uint8), []
    labels: list[int] = []
    for name, label in files:
        try:
            image = decode(archive.read(name), f"{archive.root}: {name}")
            if image.shape != (SIDE, SIDE, 3):
                raise UserError(
                    f"{archive.root}: {name} has {image.shape[1]} x {image.shape[0]} pixels, "
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
