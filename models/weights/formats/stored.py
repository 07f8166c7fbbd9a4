"""Reads the weights that a path stands for, whatever the format: its contents decide.

The steps: find the files (`folders.py`), tell their format (`common/file_kinds.py`) and open them,
choose the model (`states.py`), take prefixes off (`prefixes.py`), check the numbers
(`precision.py`), and only then read the arrays. No code of a file runs, and the memory that is
taken is bounded by the sizes of the files.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import UserError, listed
from common.file_kinds import PICKLE, SAFETENSORS, kind_of
from common.number_formats import numpys
from common.pickles.safe_load import unpickle
from common.safetensors_files import LARGEST_WEIGHTS, METADATA, read_entry, read_header
from common.zip_files import open_zip
from models.weights.formats import torch_files
from models.weights.formats.contents import Later, Opened
from models.weights.formats.folders import Found, find_files
from models.weights.formats.npz_files import open_npz
from models.weights.formats.precision import with_bfloat16
from models.weights.formats.states import choose
from models.weights.formats.torch_pickles import PlainUnpickler, is_legacy

_MOST_MEMBERS = 20_000  # of an archive: one for each array
_USUAL = {  # beginnings of `Opened.kind` by the ending that such files usually have
    ".safetensors": "safetensors",
    ".npz": "numpy",
    ".pdparams": "a pickle",
    ".pth": "PyTorch",
    ".pt": "PyTorch",
    ".bin": "PyTorch",
    ".ckpt": "PyTorch",
}


class Stored(NamedTuple):
    """The weights in a file or a folder.

    Attributes:
        arrays: by their names in the file, without a prefix that all have. bfloat16 and float8 are
            widened to float32.
        metadata: the text of a safetensors file; {} for others.
        kind: the format, for people.
        said: what was decided, a short sentence each: which of several models was taken and how to
            take another, which prefix was taken off, what was left out.
        files: that were read.
        names: keys of other models in the file, for `FILE#KEY`.
    """

    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]
    kind: str
    said: tuple[str, ...]
    files: tuple[Path, ...]
    names: tuple[str, ...]


def read_stored(path: str | Path, part: str = "") -> Stored:
    """Reads the weights that a path stands for.

    Args:
        path: a file of any supported format with any ending, the index of a sharded model, or a
            folder with one model.
        part: the key of the wanted model, where a file has several; dots lead to nested keys.

    Raises:
        UserError: when there are no weights, or they are damaged, quantised, or several.
    """
    path = Path(path)
    with _refusing_damages(path):
        stored, arrays = _choose(path, part)
        return stored._replace(arrays={n: _read(path, n, one) for n, one in arrays.items()})


def read_outline(path: str | Path, part: str = "") -> Stored:
    """Tells what weights a path stands for; reads only headers where the format allows.

    Returns:
        As `read_stored`; the arrays have their shapes and types, no memory, and no values.

    Raises:
        UserError: as `read_stored`, but for damages of the values.
    """
    path = Path(path)
    with _refusing_damages(path):
        stored, arrays = _choose(path, part)
        outlines = {
            name: np.broadcast_to(np.zeros((), numpys(value.dtype)), value.shape)
            for name, value in arrays.items()
        }
        return stored._replace(arrays=outlines)


@contextmanager
def _refusing_damages(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    except Exception:  # a damaged file raises almost anything
        raise UserError(
            f"{path}: not a readable weights file: it is damaged; get the file again"
        ) from None


def _read(path: Path, name: str, value: Later) -> np.ndarray:
    try:
        return np.asarray(value.read())
    except UserError as error:
        raise UserError(f"{path}: {name}: {error}") from None


def _choose(path: Path, part: str) -> tuple[Stored, dict[str, Later]]:
    """Returns the description of the weights, still without arrays, and the arrays to be read."""
    found = find_files(path)
    opened = _joined(found) if found.places else _open(found.files[0])
    origin = path if path.is_dir() else found.files[0]
    if METADATA in opened.metadata and not part:  # of this project: nothing is to be decided
        return Stored({}, opened.metadata, opened.kind, found.said, found.files, ()), opened.content
    try:
        choice = choose(opened.content, found.files[0], part)
        arrays, precision = with_bfloat16(choice.arrays)
        wanted = sum(value.size for value in arrays.values())
        if wanted > opened.room:
            raise UserError(
                f"its arrays take {wanted} bytes, far more than the file holds: it is refused"
            )
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None
    said = (*found.said, *_said_of_ending(origin, opened.kind), *choice.said, *precision)
    metadata, kind = opened.metadata, opened.kind
    return Stored({}, metadata, kind, said, found.files, choice.names), arrays


def _said_of_ending(path: Path, kind: str) -> tuple[str, ...]:
    usual = _USUAL.get(path.suffix.lower())
    if path.is_dir() or usual is None or kind.startswith(usual):
        return ()
    return (f"its contents are {kind}, whatever its ending {path.suffix} says",)


def _open(path: Path) -> Opened:
    """Opens a file by its contents."""
    kind = kind_of(path)
    size = path.stat().st_size
    if size > LARGEST_WEIGHTS:
        raise UserError(
            f"{path}: has more than {LARGEST_WEIGHTS} bytes, which no weights of these models have"
        )
    if kind == SAFETENSORS:
        return _open_safetensors(path)
    if kind == PICKLE:
        return _open_pickle(path)
    return _open_zip(path)


def _open_safetensors(path: Path) -> Opened:
    entries, metadata = read_header(path)

    def later(name: str) -> Later:
        entry = entries[name]
        return Later(entry.shape, entry.dtype, lambda: read_entry(path, entry))

    return Opened(
        {name: later(name) for name in entries}, "safetensors", path.stat().st_size, metadata
    )


def _open_pickle(path: Path) -> Opened:
    with open(path, "rb") as file:
        if is_legacy(file.read(32)):
            return torch_files.open_torch_legacy(path)
        file.seek(0)
        content, _ = unpickle(file, str(path), "latin1", PlainUnpickler)
    paddles = path.suffix == ".pdparams" or "StructuredToParameterName@@" in _keys(content)
    kind = "a pickle of Paddle" if paddles else "a pickle of arrays, as Paddle and numpy write it"
    return Opened(content, kind, 2 * path.stat().st_size)


def _keys(content: object) -> list:
    return list(content) if isinstance(content, dict) else []


def _open_zip(path: Path) -> Opened:
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: {torch_files.said_of_cut(path)}")
    archive = open_zip(path, _MOST_MEMBERS)
    names = archive.namelist()
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise UserError(
            f"{path}: is TorchScript, a program with its weights, which is not run; in Python save "
            "the weights alone: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
        )
    pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) == 1:
        return torch_files.open_torch_zip(path, archive, pickles[0])
    if names and all(name.endswith(".npy") for name in names):
        return open_npz(path, archive)
    raise UserError(f"{path}: {_what_the_archive_is(archive)}")


def _what_the_archive_is(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    for sign, what in (
        ("serialized_exported_program.json", "a program of torch.export (.pt2)"),
        ("models/model.json", "a program of torch.export (.pt2)"),
        ("archive_format", "a program of torch.export (.pt2)"),
        ("model.weights.h5", "a model of Keras (.keras)"),
        ("Manifest.json", "a model of Core ML"),
        (".data/extern_modules", "a program of torch.package"),
    ):
        if any(name.endswith(sign) for name in names):
            return (
                f"is {what}, not the weights of a model: save its state_dict() as .pth or "
                "safetensors in Python"
            )
    inside = listed(names) if names else "nothing"
    return (
        f"is a zip archive with {inside}, not the weights of a model: unpack it, and give the "
        "weights file in it"
    )


def _joined(found: Found) -> Opened:
    """Opens the shards of a model as one."""
    places, opened = found.places or {}, [_open(path) for path in found.files]
    arrays, metadata = {}, {}
    for path, one in zip(found.files, opened):
        content = one.content if isinstance(one.content, dict) else {}
        lacking = [n for n, file in places.items() if file == path.name and n not in content]
        if lacking:
            raise UserError(
                f"{path}: lacks {len(lacking)} arrays that the index says it has: {listed(lacking)}"
                "; get the files again, all of one version"
            )
        twice = [name for name in content if name in arrays]
        if twice:
            raise UserError(f"{path}: {listed(twice)} are in another part of the model, too")
        arrays.update(content)
        metadata.update(one.metadata)
    kind = f"{opened[0].kind} in {len(opened)} parts"
    return Opened(arrays, kind, sum(one.room for one in opened), metadata)
