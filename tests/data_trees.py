"""Made-up data sets of a few bytes, whose images show by their colour which class they are of."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from small_data import small_config

from common.errors import UserError
from data.layouts.find import find

CLASSES = ("ant", "bee", "cow")
COLOURS = ((200, 40, 40), (40, 180, 50), (40, 60, 210), (225, 205, 40), (170, 40, 190))


def picture(label: int, kind: str = "png", side: int = 8) -> bytes:
    """Returns an image of the colour of a class."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), COLOURS[label]).save(buffer, kind)
    return buffer.getvalue()


def folders(
    start: str, images: int, classes: Iterable[str] = CLASSES, ending: str = "png", inside: str = ""
) -> dict[str, bytes]:
    """Returns files `<start><class>/<inside><number>.<ending>`, by their names."""
    return {
        f"{start}{name}/{inside}{number}.{ending}": picture(label)
        for label, name in enumerate(classes)
        for number in range(images)
    }


def flat(start: str, images: int, ending: str = ".png") -> dict[str, bytes]:
    """Returns files `<start><label>_<number><ending>`, by their names."""
    return {
        f"{start}{label}_{number}{ending}": picture(label)
        for label in range(len(CLASSES))
        for number in range(images)
    }


def rows(names: Iterable[str], form: str = "{name} {label}") -> str:
    """Returns a list of the files that `flat` makes, a line for each."""
    lines = []
    for name in names:
        label = int(name.rpartition("/")[2].partition("_")[0])
        base = name.rpartition("/")[2]
        stem = base.rpartition(".")[0] or base
        lines.append(form.format(name=name, label=label, word=CLASSES[label], stem=stem, base=base))
    return "\n".join(lines) + "\n"


def write(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """Writes files below a folder; a name that ends in a slash is an empty folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def zip_of(path: Path, files: Mapping[str, bytes | str], method: int = zipfile.ZIP_STORED) -> Path:
    """Writes a zip archive."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tar_of(path: Path, files: Mapping[str, bytes | str], mode: str = "w") -> Path:
    """Writes a tar archive."""
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = 0 if name.endswith("/") else len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def found_in(root: Path, **fields):
    """Finds the data set in a folder or an archive."""
    cache = fields.pop("cache_dir", str(Path(root).parent / "cache"))
    return find(small_config("folder", root, cache_dir=cache, **fields).data)


def read(root: Path, classes: Iterable[str] | None = CLASSES, **fields) -> dict[str, int]:
    """Reads a data set; every label must be that of the colour.

    Args:
        root: of the data set.
        classes: their expected names, in the order of the colours; None: any.
        fields: of the config's `data`.

    Returns:
        The number of images of each part.
    """
    found = found_in(root, **fields)
    by_colour = list(classes if classes is not None else found.classes)
    assert sorted(found.classes) == sorted(by_colour)
    for name in found.parts:
        part = found.part(name, False)
        for position, label in enumerate(part.labels.tolist()):
            mean = np.asarray(part.images[position], float).mean((0, 1))
            colour = int(np.abs(np.array(COLOURS[: len(by_colour)]) - mean).sum(1).argmin())
            assert found.classes[label] == by_colour[colour], part.name(position)
    return {name: len(part.files) for name, part in found.parts.items()}


def message(root: Path, **fields) -> str:
    """Returns the error that a data set is refused with."""
    try:
        found = found_in(root, **fields)
    except UserError as error:
        return str(error)
    sizes = {name: len(part.files) for name, part in found.parts.items()}
    raise AssertionError(f"read as {sizes} of {found.classes}, notes {found.notes}")


def said(root: Path, **fields) -> str:
    """Returns the notes about a data set, in one text."""
    return "\n".join(found_in(root, **fields).notes)
