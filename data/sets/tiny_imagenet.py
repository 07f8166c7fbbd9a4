"""Tiny ImageNet (200 classes, 64 x 64) from its official zip or the unpacked folder.

Source: https://cs231n.stanford.edu/tiny-imagenet-200.zip. Its test images have no labels: the
official validation images are the test part here. All images are decoded once into a memory-mapped
cache, which every process then shares.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from pathlib import Path

import numpy as np

from common.atomic_writing import atomic_folder
from common.errors import UserError, listed
from common.files import read_bytes, read_json, user_path
from common.zip_files import open_zip
from data.sets.image_files import decode
from data.sets.images_and_labels import ImagesAndLabels

SIZE = 64
_FORMAT = 1  # of the cache; raise it when what is written there changes
_LARGEST_FILE = 4 << 20  # bytes; the official images have a few thousand
_MOST_MEMBERS = 200_000  # of the zip; the official one has 120,609
_LARGEST_FACTS = 16 << 20  # bytes
_MOST_IMAGES = 100_000  # of a part


class _Archive:
    """The zip or the folder, read alike: names relative to `tiny-imagenet-200/`."""

    def __init__(self, root: Path):
        self.root = root
        if root.is_file():
            self._zip = open_zip(root, _MOST_MEMBERS)
            prefix = "tiny-imagenet-200/"
            self.names = sorted(
                {name[len(prefix) :] for name in self._zip.namelist() if name.startswith(prefix)}
            )
            self._prefix = prefix
        else:
            self._zip = None
            self.names = sorted(
                path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
            )

    def read(self, name: str) -> bytes:
        try:
            if self._zip is None:
                if ".." in name.split("/") or name.startswith("/"):
                    raise UserError(f"{self.root}: {name} is outside of the folder: it is refused")
                return read_bytes(self.root / name, _LARGEST_FILE)
            if self._zip.getinfo(self._prefix + name).file_size > _LARGEST_FILE:
                raise UserError(f"{self.root}: {name} is too large for Tiny ImageNet")
            return self._zip.read(self._prefix + name)
        except UserError:
            raise
        except Exception as error:  # a damaged archive raises almost anything
            raise UserError(
                f"{self.root}: can't read {name} ({error}); is it Tiny ImageNet?"
            ) from None


def load(config, part: str) -> ImagesAndLabels:
    """Load `train`, or as `test` the official validation part; `config.root` is the zip or the
    folder.
    """
    cache = user_path(config.cache_dir or "~/.cache/rdrop")
    folder = _cached(_root(config.root), cache, config.on_corrupt)
    try:
        source, skipped = _read(folder, part)
    except (KeyError, TypeError, ValueError, EOFError, OSError) as error:
        raise UserError(
            f"{folder}: the decoded images are damaged ({error}); delete that folder"
        ) from None
    if skipped:
        print(
            f"{config.root}: {len(skipped)} damaged images are left out, first {skipped[0]}",
            flush=True,
        )
    return source


def _read(folder: Path, part: str) -> tuple[ImagesAndLabels, list[str]]:
    """One part of what was decoded, and the names of the damaged images."""
    facts = read_json(folder / "facts.json", _LARGEST_FACTS)
    images, labels = (
        np.load(folder / f"{part}_{name}.npy", mmap_mode="r") for name in ("images", "labels")
    )
    right = (
        images.dtype == np.uint8
        and images.shape == (len(labels), SIZE, SIZE, 3)
        and labels.dtype == np.int64
    )
    if not right or (len(labels) and not 0 <= labels.min() <= labels.max() < len(facts["classes"])):
        raise ValueError("images and labels do not belong together")
    return ImagesAndLabels(images, np.array(labels), tuple(facts["classes"])), facts["skipped"]


def _root(root: str) -> Path:
    path = user_path(root)
    if not root:
        raise UserError("data.root is empty; give tiny-imagenet-200.zip or its unpacked folder")
    if path.is_dir() and not (path / "wnids.txt").is_file():
        inside = [
            path / name
            for name in ("tiny-imagenet-200", "tiny-imagenet-200.zip")
            if (path / name).exists()
        ]
        path = inside[0] if inside else path / "tiny-imagenet-200"
    if not path.exists():
        raise UserError(
            f"data.root: {path} is not there; expected tiny-imagenet-200.zip or the unpacked folder"
        )
    return path


def _cached(root: Path, cache: Path, on_corrupt: str) -> Path:
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    key = f"{_FORMAT} {root.resolve()} {states} {on_corrupt}"
    folder = cache / f"tiny-imagenet-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(
                lock, fcntl.LOCK_EX
            )  # several processes may start at once: the first one decodes
            if not folder.is_dir():
                print(f"decoding {root} once into {folder}", flush=True)
                with atomic_folder(folder) as temporary:
                    _decode_all(_Archive(root), temporary, on_corrupt)
    except OSError as error:
        raise UserError(
            f"{cache}: can't write the cache there ({error}); set data.cache_dir to another folder"
        ) from None
    return folder


def _decode_all(archive: _Archive, folder: Path, on_corrupt: str) -> None:
    classes, parts = _lists(archive)
    rank, skipped = {name: label for label, name in enumerate(classes)}, []
    for part, files in parts.items():
        unknown = sorted({wnid for _, wnid in files} - rank.keys())
        if unknown:
            raise UserError(
                f"{archive.root}: {part} has the class {unknown[0]}, which wnids.txt does not list"
            )
        without = sorted(rank.keys() - {wnid for _, wnid in files}) if part == "train" else []
        if without or not files:
            whose = f" of {listed(without)}" if files else ""
            raise UserError(
                f"{archive.root}: {part} has no images{whose}; is it the whole archive?"
            )
        if len(files) > _MOST_IMAGES:
            raise UserError(
                f"{archive.root}: {part} has {len(files)} images, expected up to {_MOST_IMAGES:,}"
            )
        skipped += _decode_part(archive, files, rank, folder, part, on_corrupt)
    (folder / "facts.json").write_text(
        json.dumps({"classes": classes, "skipped": skipped}), encoding="utf-8"
    )


def _lists(archive: _Archive) -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    """The classes, and the files of `train` and `test` with theirs."""
    try:
        classes = sorted(archive.read("wnids.txt").decode().split())
        rows = [
            line.split("\t")[:2]
            for line in archive.read("val/val_annotations.txt").decode().splitlines()
            if line
        ]
        annotated = sorted((f"val/images/{name}", wnid) for name, wnid in rows)
    except ValueError as error:
        raise UserError(
            f"{archive.root}: wnids.txt or val_annotations.txt is not readable ({error})"
        ) from None
    different = len(set(classes))
    if different < 2 or different < len(classes):
        raise UserError(
            f"{archive.root}: wnids.txt lists {len(classes)} classes, of which {different} differ"
        )
    training = [(name, name.split("/")[1]) for name in archive.names if _is_training_image(name)]
    return classes, {"train": training, "test": annotated}


def _is_training_image(name: str) -> bool:
    return name.startswith("train/") and name.count("/") == 3 and name.split("/")[2] == "images"


def _decode_part(archive, files, rank, folder: Path, part: str, on_corrupt: str) -> list[str]:
    """Decode one part into `<part>_images.npy` and `<part>_labels.npy`; give the names of damaged
    images.
    """
    pixels, labels, skipped = np.empty((len(files), SIZE, SIZE, 3), np.uint8), [], []
    for name, wnid in files:
        try:
            image = decode(archive.read(name), f"{archive.root}: {name}")
            if image.shape != (SIZE, SIZE, 3):
                raise UserError(
                    f"{archive.root}: {name} has {image.shape[1]} x {image.shape[0]} pixels, expected 64 x 64"
                )
        except UserError as error:
            if on_corrupt == "error":
                raise
            print(f"skipped: {error}", flush=True)
            skipped.append(name)
            continue
        pixels[len(labels)] = image
        labels.append(rank[wnid])
    np.save(folder / f"{part}_images.npy", pixels[: len(labels)])
    np.save(folder / f"{part}_labels.npy", np.array(labels, np.int64))
    if skipped:
        print(f"{part}: skipped {len(skipped)} of {len(files)} images", flush=True)
    return skipped
