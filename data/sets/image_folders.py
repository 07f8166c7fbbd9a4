"""Class folders: one folder for each class, with its images at any depth."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from common.errors import UserError
from data.sets.image_files import ImageFiles
from data.sets.images_and_labels import ImagesAndLabels

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def class_folders(root: Path) -> list[str]:
    """Names of the class folders in sorted order, hidden ones left out."""
    classes = sorted(
        path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if len(classes) < 2:
        only = f", {classes[0]}" if classes else ""
        raise UserError(
            f"{root}: {len(classes)} class folders{only}; expected at least 2, each with its images"
        )
    return classes


def scan(root: Path, expected: tuple[str, ...] = ()) -> ImagesAndLabels:
    """List the images below `root/<class>/`, in sorted order of classes and paths.

    Raises:
        UserError: for fewer than two classes, a class without images, or other classes than
            `expected`.
    """
    classes = class_folders(root)
    if expected and tuple(classes) != expected:
        odd = sorted(set(classes) ^ set(expected))[0]
        raise UserError(
            f"{root}: its class folders are not those of the training images, first difference {odd!r}"
        )
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = images_below(root / name)
        if not found:
            raise UserError(
                f"{root / name}: no images; expected files that end in {', '.join(sorted(SUFFIXES))}"
            )
        paths += found
        labels += [label] * len(found)
    return ImagesAndLabels(ImageFiles(paths), np.array(labels, np.int64), tuple(classes))


def images_below(folder: Path) -> list[Path]:
    """The images at any depth, in the order of their paths; links to folders are followed, hidden
    ones left out.

    Raises:
        UserError: for a folder that can't be listed, or a link that leads back to where it is.
    """
    found, ways = (
        [],
        {str(folder): (os.path.realpath(folder),)},
    )  # the real folders on the way to each

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: can't be listed ({error.strerror})") from None

    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        way = ways.pop(place)
        for name in folders:
            path = os.path.join(place, name)
            real = os.path.realpath(path)
            if real in way:
                raise UserError(f"{path}: a link that leads back to {real}, without end; remove it")
            ways[path] = (*way, real)
        found += [path for path in (Path(place, name) for name in files) if is_image(path)]
    return sorted(found)


def is_image(path: Path) -> bool:
    """Whether it is a file that ends like an image and is not hidden; a link to nothing is a
    damaged image.
    """
    looks_so = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return looks_so and (path.is_file() or (path.is_symlink() and not path.exists()))
