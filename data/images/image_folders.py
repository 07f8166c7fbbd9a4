"""Lists the image files in folders: class folders (one for each class), or any folder."""

import os
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.reading import user_path
from data.images.images_and_labels import ImageFiles, ImagesAndLabels

# In sorted order, for the message.
_SUFFIXES = [".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]


def existing_folder(path: str, field: str) -> Path:
    """Returns the folder that a field of the config names.

    Raises:
        UserError: when the path is empty, or no folder.
    """
    if not path:
        raise UserError(f"{field} is empty; give the folder of the images")
    folder = user_path(path)
    if not folder.is_dir():
        raise UserError(f"{field}: {folder} is not a folder")
    return folder


def class_names(root: Path) -> list[str]:
    """Returns the sorted names of the class folders in `root`, without hidden ones.

    Raises:
        UserError: for fewer than two.
    """
    classes = sorted(
        path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if len(classes) < 2:
        found = ", ".join([f"{len(classes)} class folders", *classes])
        raise UserError(f"{root}: {found}; expected at least 2, each with its images")
    return classes


def images_by_class(root: Path, expected: tuple[str, ...] = ()) -> ImagesAndLabels:
    """Lists the images below `root/<class>/`, sorted by class and path.

    Args:
        root: the folder of the class folders.
        expected: the classes that it must have; empty: any.

    Raises:
        UserError: for fewer than two classes, a class without images, or other classes than
            `expected`.
    """
    classes = class_names(root)
    if expected and tuple(classes) != expected:
        odd = sorted(set(classes) ^ set(expected))[0]
        raise UserError(
            f"{root}: its class folders are not those of the training images, first difference "
            f"{odd!r}"
        )
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = images_below(root / name)
        if not found:
            raise UserError(
                f"{root / name}: no images; expected files that end in {', '.join(_SUFFIXES)}"
            )
        paths += found
        labels += [label] * len(found)
    return ImagesAndLabels(ImageFiles(paths), np.array(labels, np.int64), tuple(classes))


def images_below(folder: Path) -> list[Path]:
    """Lists the images at any depth, sorted by path; links are followed, hidden folders are not.

    Raises:
        UserError: for a folder that can't be listed, or a link that leads back to where it is.
    """
    # `ways` has the real folders on the way to each folder that is still to be listed.
    found, ways = [], {str(folder): [os.path.realpath(folder)]}

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
            ways[path] = [*way, real]
        found += [path for path in (Path(place, name) for name in files) if is_image(path)]
    return sorted(found)


def is_image(path: Path) -> bool:
    """Returns whether a file has an image's ending and is not hidden.

    A link to nothing is an image, too, a damaged one: reading it is then an error.
    """
    looks_so = path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    return looks_so and (path.is_file() or (path.is_symlink() and not path.exists()))
