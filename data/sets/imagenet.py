"""ImageNet (ILSVRC 2012) with its official validation layouts."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import read_bytes, read_text
from data.sets.folder import root_of
from data.sets.image_files import ImageFiles
from data.sets.image_folders import class_folders, is_image, scan
from data.sets.images_and_labels import ImagesAndLabels

_LARGEST_MATLAB = 16 << 20  # bytes of the development kit's table
_LARGEST_LIST = 64 << 20  # bytes of a list of labels; the largest official one has 10 million


def load_imagenet(config, part: str) -> ImagesAndLabels:
    """ImageNet (ILSVRC2012): `train/<wnid>/*` and `val/`, either sorted into class folders or flat
    as published.

    For the flat form the labels come from `val_list.txt` or `val.txt` (name and position of the
    class), `LOC_val_solution.csv` (Kaggle), or the development kit (`ILSVRC2012_devkit_t12`), each
    in the root.
    """
    root = root_of(config)
    if not (root / "train").is_dir():
        raise UserError(
            f"data.root: {root} has no folder train; expected train/<wnid>/*.JPEG and val/"
        )
    if part == "train":
        return scan(root / "train")
    classes = class_folders(root / "train")
    validation = root / "val"
    if not validation.is_dir():
        raise UserError(f"data.root: {root} has train/ but no val/ beside it")
    if any(path.is_dir() for path in validation.iterdir()):
        return scan(validation, tuple(classes))
    return _flat_validation(root, validation, classes)


def _flat_validation(root: Path, folder: Path, classes: list[str]) -> ImagesAndLabels:
    paths = sorted(path for path in folder.iterdir() if is_image(path))
    try:
        known = _validation_labels(root, paths, {name: label for label, name in enumerate(classes)})
    except (
        KeyError,
        ValueError,
        IndexError,
        TypeError,
        AttributeError,
        OSError,
        csv.Error,
    ) as error:
        raise UserError(
            f"{root}: the labels of val/ are not readable, or of other classes than train/'s "
            f"({type(error).__name__}: {error})"
        ) from None
    missing = [path.name for path in paths if path.stem not in known]
    if missing:
        raise UserError(
            f"{folder}: no label for {missing[0]} ({len(missing)} of {len(paths)} images)"
        )
    labels = np.array([known[path.stem] for path in paths], np.int64)
    if not paths or labels.min() < 0 or labels.max() >= len(classes):
        span = f"labels from {labels.min()} to {labels.max()}" if paths else "no images"
        raise UserError(
            f"{folder}: {span}, expected 0 to {len(classes) - 1}: train/ has {len(classes)} classes"
        )
    return ImagesAndLabels(ImageFiles(paths), labels, tuple(classes))


def _validation_labels(root: Path, paths: list[Path], ranks: dict[str, int]) -> dict[str, int]:
    """The class of each validation image by the stem of its file name."""
    for name in ("val_list.txt", "val.txt"):
        if (root / name).is_file():
            rows = [
                line.rsplit(maxsplit=1)
                for line in read_text(root / name, _LARGEST_LIST).splitlines()
                if line.strip()
            ]
            return {Path(file).stem: int(label) for file, label in rows}
    solution = root / "LOC_val_solution.csv"
    if solution.is_file():
        rows = csv.DictReader(read_text(solution, _LARGEST_LIST).splitlines())
        return {row["ImageId"]: ranks[row["PredictionString"].split()[0]] for row in rows}
    kits = sorted(root.glob("**/ILSVRC2012_validation_ground_truth.txt"))
    if kits:
        return _devkit_labels(kits[0], paths, ranks)
    raise UserError(
        f"{root}: val/ is flat, and neither val_list.txt, LOC_val_solution.csv nor the devkit is there"
    )


def _devkit_labels(truth: Path, paths: list[Path], ranks: dict[str, int]) -> dict[str, int]:
    """The development kit numbers classes in an order of its own; `meta.mat` gives their WordNet
    ids.
    """
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
    """WordNet ids by number. The reader is compiled code that trusts its file: it has a process
    with little memory.
    """
    content = read_bytes(path, _LARGEST_MATLAB)
    done = subprocess.run([sys.executable, "-c", _READ_MATLAB], input=content, capture_output=True)
    if done.returncode:
        problem = done.stderr[-200:].decode(errors="replace").strip().rpartition("\n")[2]
        raise UserError(f"{path}: is not readable as the development kit's ({problem})")
    return {int(number): str(wnid) for number, wnid in json.loads(done.stdout).items()}
