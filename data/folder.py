"""Any folder of class folders, and ImageNet with its official validation layouts.

A root with `train/` and `test/` (or `val/`) is taken as it is; a root that holds the class folders themselves is split:
every tenth image of a class, in the order of the names, is for the test.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import read_bytes, read_text, user_path
from data.images import ImageFiles
from data.source import Source

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_TEST_EVERY = 10
_LARGEST_MATLAB = 16 << 20  # bytes of the development kit's table
_LARGEST_LIST = 64 << 20  # bytes of a list of labels; the largest official one has 10 million


def load_folder(config, part: str) -> Source:
    """A user's own images: `root/train/<class>/*` with `root/test` or `root/val`, or `root/<class>/*`."""
    root = _root(config)
    if not (root / "train").is_dir():
        return _split(scan(root), part)
    train = scan(root / "train")
    return train if part == "train" else scan(_test_folder(root), train.classes)


def load_imagenet(config, part: str) -> Source:
    """ImageNet (ILSVRC2012): `train/<wnid>/*` and `val/`, either sorted into class folders or flat as published.

    For the flat form the labels come from `val_list.txt` or `val.txt` (name and position of the class),
    `LOC_val_solution.csv` (Kaggle), or the development kit (`ILSVRC2012_devkit_t12`), each in the root.
    """
    root = _root(config)
    if not (root / "train").is_dir():
        raise UserError(f"data.root: {root} has no folder train; expected train/<wnid>/*.JPEG and val/")
    if part == "train":
        return scan(root / "train")
    classes = class_folders(root / "train")
    validation = root / "val"
    if not validation.is_dir():
        raise UserError(f"data.root: {root} has train/ but no val/ beside it")
    if any(path.is_dir() for path in validation.iterdir()):
        return scan(validation, tuple(classes))
    return _flat_validation(root, validation, classes)


def load_unlabelled(path: str) -> Source:
    """All images below a folder, in the order of their paths; their labels are -1."""
    root = _existing(path, "data.unlabelled_root")
    paths = _images_below(root)
    return Source(ImageFiles(paths), np.full(len(paths), -1, np.int64), ())


def _root(config) -> Path:
    if not config.root:
        raise UserError("data.root is empty; give the folder of the images")
    return _existing(config.root, "data.root")


def _existing(path: str, field: str) -> Path:
    folder = user_path(path)
    if not folder.is_dir():
        raise UserError(f"{field}: {folder} is not a folder")
    return folder


def _test_folder(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / name).is_dir() and any(path.is_dir() for path in (root / name).iterdir()):
            return root / name
    raise UserError(f"data.root: {root} has train/ but neither test/ nor val/ with class folders beside it")


def class_folders(root: Path) -> list[str]:
    """Names of the class folders in sorted order, hidden ones left out."""
    classes = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(classes) < 2:
        only = f", {classes[0]}" if classes else ""
        raise UserError(f"{root}: {len(classes)} class folders{only}; expected at least 2, each with its images")
    return classes


def check_outside(config, workdir: Path) -> None:
    """Refuse a run's folder among the images: what it writes there would be taken for some.

    Args:
        config: the `data` part of a config.
        workdir: need not be there.

    Raises:
        UserError: when it is.
    """
    own = config.root if config.name in ("folder", "imagenet") else ""
    for field, path in (("data.root", own), ("data.unlabelled_root", config.unlabelled_root)):
        root, run = Path(os.path.realpath(user_path(path))), Path(os.path.realpath(workdir))
        parts = [root / part for part in ("train", "test", "val") if (root / part).is_dir()]
        for images in parts if parts and field == "data.root" else [root]:
            if path and (images == run or images in run.parents):
                raise UserError(f"--workdir: {workdir} is among the images of {field} ({images}); give another folder")


def scan(root: Path, expected: tuple[str, ...] = ()) -> Source:
    """List the images below `root/<class>/`, in sorted order of classes and paths.

    Raises:
        UserError: for fewer than two classes, a class without images, or other classes than `expected`.
    """
    classes = class_folders(root)
    if expected and tuple(classes) != expected:
        odd = sorted(set(classes) ^ set(expected))[0]
        raise UserError(f"{root}: its class folders are not those of the training images, first difference {odd!r}")
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = _images_below(root / name)
        if not found:
            raise UserError(f"{root / name}: no images; expected files that end in {', '.join(sorted(SUFFIXES))}")
        paths += found
        labels += [label] * len(found)
    return Source(ImageFiles(paths), np.array(labels, np.int64), tuple(classes))


def _images_below(folder: Path) -> list[Path]:
    """The images at any depth, in the order of their paths; links to folders are followed, hidden ones left out.

    Raises:
        UserError: for a folder that can't be listed, or a link that leads back to where it is.
    """
    found, ways = [], {str(folder): (os.path.realpath(folder),)}  # the real folders on the way to each

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
        found += [path for path in (Path(place, name) for name in files) if _is_image(path)]
    return sorted(found)


def _is_image(path: Path) -> bool:
    """Whether it is a file that ends like an image and is not hidden; a link to nothing is a damaged image."""
    looks_so = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return looks_so and (path.is_file() or (path.is_symlink() and not path.exists()))


def _split(whole: Source, part: str) -> Source:
    """Every tenth image of each class, from its fifth on, is for the test; a class of one image has none there."""
    test = np.zeros(len(whole.labels), bool)
    for label in range(len(whole.classes)):
        members = np.flatnonzero(whole.labels == label)
        start = min(_TEST_EVERY // 2, len(members) - 1)
        test[members[start::_TEST_EVERY] if len(members) > 1 else []] = True
    return whole.subset(np.flatnonzero(test if part == "test" else ~test))


def _flat_validation(root: Path, folder: Path, classes: list[str]) -> Source:
    paths = sorted(path for path in folder.iterdir() if _is_image(path))
    try:
        known = _validation_labels(root, paths, {name: label for label, name in enumerate(classes)})
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, OSError, csv.Error) as error:
        raise UserError(
            f"{root}: the labels of val/ are not readable, or of other classes than train/'s "
            f"({type(error).__name__}: {error})"
        ) from None
    missing = [path.name for path in paths if path.stem not in known]
    if missing:
        raise UserError(f"{folder}: no label for {missing[0]} ({len(missing)} of {len(paths)} images)")
    labels = np.array([known[path.stem] for path in paths], np.int64)
    if not paths or labels.min() < 0 or labels.max() >= len(classes):
        span = f"labels from {labels.min()} to {labels.max()}" if paths else "no images"
        raise UserError(f"{folder}: {span}, expected 0 to {len(classes) - 1}: train/ has {len(classes)} classes")
    return Source(ImageFiles(paths), labels, tuple(classes))


def _validation_labels(root: Path, paths: list[Path], ranks: dict[str, int]) -> dict[str, int]:
    """The class of each validation image by the stem of its file name."""
    for name in ("val_list.txt", "val.txt"):
        if (root / name).is_file():
            rows = [
                line.rsplit(maxsplit=1) for line in read_text(root / name, _LARGEST_LIST).splitlines() if line.strip()
            ]
            return {Path(file).stem: int(label) for file, label in rows}
    solution = root / "LOC_val_solution.csv"
    if solution.is_file():
        rows = csv.DictReader(read_text(solution, _LARGEST_LIST).splitlines())
        return {row["ImageId"]: ranks[row["PredictionString"].split()[0]] for row in rows}
    kits = sorted(root.glob("**/ILSVRC2012_validation_ground_truth.txt"))
    if kits:
        return _devkit_labels(kits[0], paths, ranks)
    raise UserError(f"{root}: val/ is flat, and neither val_list.txt, LOC_val_solution.csv nor the devkit is there")


def _devkit_labels(truth: Path, paths: list[Path], ranks: dict[str, int]) -> dict[str, int]:
    """The development kit numbers classes in an order of its own; `meta.mat` gives their WordNet ids."""
    wnids = _matlab_wnids(truth.parent / "meta.mat")
    numbers = [int(line) for line in read_text(truth, _LARGEST_LIST).split()]
    if len(numbers) != len(paths):
        raise UserError(f"{truth}: {len(numbers)} labels for {len(paths)} validation images")
    return {path.stem: ranks[wnids[number]] for path, number in zip(paths, numbers)}


_READ_MATLAB = """
import io, json, resource, sys
from scipy.io import loadmat
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
rows = loadmat(io.BytesIO(sys.stdin.buffer.read()), squeeze_me=True)["synsets"]
print(json.dumps({int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows}))
"""


def _matlab_wnids(path: Path) -> dict[int, str]:
    """WordNet ids by number. The reader is compiled code that trusts its file: it has a process with little memory."""
    content = read_bytes(path, _LARGEST_MATLAB)
    done = subprocess.run([sys.executable, "-c", _READ_MATLAB], input=content, capture_output=True)
    if done.returncode:
        problem = done.stderr[-200:].decode(errors="replace").strip().rpartition("\n")[2]
        raise UserError(f"{path}: is not readable as the development kit's ({problem})")
    return {int(number): str(wnid) for number, wnid in json.loads(done.stdout).items()}
