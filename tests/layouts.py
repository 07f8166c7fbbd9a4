"""Data sets in the layouts that people have: images coloured by their class, of three classes."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from data_trees import CLASSES, tar_of, write, zip_of
from PIL import Image

WNIDS = ("n00000001", "n00000002", "n00000003")
_COLOURS = ((210, 40, 40), (40, 180, 50), (40, 60, 210))
_TRAIN, _VAL, _TEST = 10, 3, 4  # images of a class
PARTS = {"train": _TRAIN, "test": _TEST}
THREE = {"train": _TRAIN, "val": _VAL, "test": _TEST}


class Layout(NamedTuple):
    """A layout on the disk.

    Attributes:
        make: fills a folder, and returns what `data.root` is.
        counts: images of `train`, `val` and `test`.
        name: `data.name`.
    """

    make: Callable[[Path], Path]
    counts: tuple[int, int, int] = (3 * _TRAIN, 0, 3 * _TEST)
    name: str = "folder"


def picture(label: int, name: str, size: int = 24, kind: str = "JPEG") -> bytes:
    """Returns an encoded image of the class's colour, with noise that is a function of the name."""
    rng = np.random.default_rng(zlib.crc32(f"{label} {name}".encode()))
    pixels = np.array(_COLOURS[label]) + rng.integers(-25, 26, (size, size, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def folders(parts: dict[str, int], classes=CLASSES, size: int = 24) -> dict[str, bytes]:
    """Returns `<part>/<class>/<number>.jpg`; a part without a name has the classes at the top."""
    return {
        "/".join(filter(None, (part, name, f"{number:02}.jpg"))): picture(
            label, f"{part}{number}", size
        )
        for part, count in parts.items()
        for label, name in enumerate(classes)
        for number in range(count)
    }


def below(folder: str, files: dict[str, bytes | str]) -> dict[str, bytes | str]:
    """Returns the files in a folder."""
    return {f"{folder}/{name}": content for name, content in files.items()}


def together(parts: dict[str, int], folder: str = "images") -> dict[str, tuple[str, int, bytes]]:
    """Returns images of all classes in one folder: part, label and content by the path."""
    return {
        f"{folder.format(part=part)}/{part}_{number}_{label}.jpg": (
            part,
            label,
            picture(label, f"{part}{number}"),
        )
        for part, count in parts.items()
        for number in range(count)
        for label in range(len(CLASSES))
    }


def _rows(images: dict, part: str, row: str) -> str:
    return "".join(
        row.format(
            path=path,
            file=path.rpartition("/")[2],
            stem=path.rpartition("/")[2][:-4],
            label=label,
            name=CLASSES[label],
        )
        for path, (own, label, _) in images.items()
        if own == part
    )


def _contents(images: dict) -> dict[str, bytes]:
    return {path: content for path, (_, _, content) in images.items()}


def _listed(folder: Path, parts: dict[str, int], name: str, row: str, names: dict) -> Path:
    images = together(parts)
    lists = {name.format(part): _rows(images, part, row) for part in parts}
    return write(folder, {**_contents(images), **lists, **names})


def _kaggle(folder: Path) -> Path:
    images = together({"train": 20}, "{part}")
    table = "id,label\n" + _rows(images, "train", "{stem},{name}\n")
    return write(folder, {**_contents(images), "train.csv": table, "test/0.jpg": picture(0, "0")})


def _metadata(folder: Path) -> Path:
    images = together(PARTS, "{part}")
    lines = {
        f"{part}/metadata.jsonl": "".join(
            json.dumps({"file_name": path.rpartition("/")[2], "label": CLASSES[label]}) + "\n"
            for path, (own, label, _) in images.items()
            if own == part
        )
        for part in PARTS
    }
    return write(folder, {**_contents(images), **lines})


def _tiny(folder: Path, validation: str = "val/images/val_{number}.JPEG") -> dict:
    files: dict[str, bytes | str] = {"wnids.txt": "\n".join(reversed(WNIDS)) + "\n"}
    rows = []
    for label, wnid in enumerate(WNIDS):
        for number in range(_TRAIN):
            name = f"train/{wnid}/images/{wnid}_{number}.JPEG"
            files[name] = picture(label, name, 64)
    for number in range(3 * _TEST):
        label = number % 3
        name = validation.format(number=number, wnid=WNIDS[label])
        files[name] = picture(label, name, 64)
        rows.append(f"val_{number}.JPEG\t{WNIDS[label]}\t0\t0\t9\t9\n")
    if "{wnid}" not in validation:
        files["val/val_annotations.txt"] = "".join(rows)
    return files


def _imagenet_archives(folder: Path) -> Path:
    """The official archives, a tar of a tar for each class, with the kit that numbers classes."""
    from scipy.io import savemat

    classes = {}
    for label, wnid in enumerate(WNIDS):
        members = {f"{wnid}_{n}.JPEG": picture(label, f"{wnid}{n}") for n in range(_TRAIN)}
        classes[f"{wnid}.tar"] = tar_of(folder / "class.tar", members).read_bytes()
    (folder / "class.tar").unlink()
    tar_of(folder / "ILSVRC2012_img_train.tar", classes)
    labels = [number % 3 for number in range(3 * _TEST)]
    validation = {
        f"ILSVRC2012_val_{number + 1:08}.JPEG": picture(label, f"val{number}")
        for number, label in enumerate(labels)
    }
    tar_of(folder / "ILSVRC2012_img_val.tar", validation)
    synsets = np.array(
        [(number, WNIDS[3 - number]) for number in (1, 2, 3)],
        dtype=[("ILSVRC2012_ID", "f8"), ("WNID", "U9")],
    )
    savemat(folder / "meta.mat", {"synsets": synsets})  # the last class is number 1
    kit = {
        "ILSVRC2012_devkit_t12/data/meta.mat": (folder / "meta.mat").read_bytes(),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": "".join(
            f"{3 - label}\n" for label in labels
        ),
    }
    (folder / "meta.mat").unlink()
    tar_of(folder / "ILSVRC2012_devkit_t12.tar.gz", kit, "w:gz")
    return folder


def _imagenet_kaggle(folder: Path) -> Path:
    place = "ILSVRC/Data/CLS-LOC"
    files: dict[str, bytes | str] = dict(folders({f"{place}/train": _TRAIN}, WNIDS))
    rows = ["ImageId,PredictionString"]
    for number in range(3 * _TEST):
        name = f"ILSVRC2012_val_{number:08}"
        files[f"{place}/val/{name}.JPEG"] = picture(number % 3, name)
        rows.append(f"{name},{WNIDS[number % 3]} 0 0 9 9 ")
    return write(folder, {**files, "LOC_val_solution.csv": "\n".join(rows) + "\n"})


def _parquet(folder: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    (folder / "data").mkdir()
    features = {"img": {"_type": "Image"}, "fine_label": {"names": CLASSES, "_type": "ClassLabel"}}
    features["coarse_label"] = {"names": ["animal"], "_type": "ClassLabel"}
    for part, count in PARTS.items():
        rows = [(n, label) for n in range(count) for label in range(3)]
        columns = {
            "img": [{"bytes": picture(label, f"{n}", 32), "path": None} for n, label in rows],
            "fine_label": [label for _, label in rows],
            "coarse_label": [0 for _ in rows],
        }
        content = {"huggingface": json.dumps({"info": {"features": features}})}
        table = pyarrow.table(columns).replace_schema_metadata(content)
        parquet.write_table(table, folder / "data" / f"{part}-00000-of-00001.parquet")
    return folder


_DIVIDED = (3 * 18, 0, 3 * 2)  # of 20 images of a class, every tenth is for the test
_NUMBERED = {"label_list.txt": "".join(f"{n} {name}\n" for n, name in enumerate(CLASSES))}
_NAMED = {"labels.txt": "".join(f"{name}\n" for name in CLASSES)}
_WITH_VAL = (3 * _TRAIN, 3 * _VAL, 3 * _TEST)
LAYOUTS = {
    "parts": Layout(lambda f: write(f, folders(PARTS))),
    "training and validation": Layout(
        lambda f: write(f, folders({"Training": _TRAIN, "VALIDATION": _TEST}))
    ),
    "train_set below images": Layout(
        lambda f: write(f, below("images", folders({"train_set": _TRAIN, "test_set": _TEST})))
    ),
    "three parts": Layout(
        lambda f: write(f, folders({"train": _TRAIN, "valid": _VAL, "test": _TEST})), _WITH_VAL
    ),
    "classes": Layout(lambda f: write(f, folders({"": 20})), _DIVIDED),
    "classes, nested": Layout(lambda f: write(f, below("a/a", folders({"": 20}))), _DIVIDED),
    "train alone": Layout(lambda f: write(f, folders({"train": 20})), _DIVIDED),
    "parts in classes": Layout(
        lambda f: write(
            f,
            {
                "/".join([name.split("/")[n] for n in (1, 0, 2)]): content
                for name, content in folders(PARTS).items()
            },
        )
    ),
    "zip": Layout(
        lambda f: zip_of(f / "pets.zip", below("pets", folders(PARTS)), zipfile.ZIP_DEFLATED)
    ),
    "zip in a folder": Layout(
        lambda f: zip_of(f / "pets.zip", folders(PARTS), zipfile.ZIP_DEFLATED).parent
    ),
    "tar": Layout(lambda f: tar_of(f / "pets.tar", below(".", folders(PARTS)))),
    "tar.gz": Layout(lambda f: tar_of(f / "pets.tar.gz", folders(PARTS), "w:gz")),
    "tar.xz": Layout(lambda f: tar_of(f / "pets.tar.xz", folders(PARTS), "w:xz")),
    "lists of PaddleClas": Layout(
        lambda f: _listed(f, THREE, "{}_list.txt", "{path} {label}\n", _NUMBERED), _WITH_VAL
    ),
    "lists of PaddleX": Layout(
        lambda f: _listed(f, PARTS, "{}.txt", "{path}\t{label}\r\n", _NAMED)
    ),
    "Kaggle's train.csv": Layout(_kaggle, _DIVIDED),
    "Hugging Face's imagefolder": Layout(_metadata),
    "Hugging Face's parquet": Layout(_parquet),
    "Tiny ImageNet's zip": Layout(
        lambda f: zip_of(
            f / "tiny-imagenet-200.zip", below("tiny-imagenet-200", _tiny(f)), zipfile.ZIP_DEFLATED
        ),
        name="tiny_imagenet",
    ),
    "Tiny ImageNet, sorted": Layout(
        lambda f: write(f, _tiny(f, "val/{wnid}/images/val_{number}.JPEG")), name="tiny_imagenet"
    ),
    "ImageNet's archives": Layout(_imagenet_archives, name="imagenet"),
    "ImageNet of Kaggle": Layout(_imagenet_kaggle, name="imagenet"),
}
