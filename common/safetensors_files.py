"""Reads safetensors files, and the entry in which this project describes its own weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.file_kinds import SAFETENSORS, kind_of
from common.number_formats import decode, size_of
from common.reading import read_json, user_path

METADATA = "rdrop"  # the entry of the metadata that describes this project's own weights
LARGEST_WEIGHTS = 32 << 30  # bytes of a weights file; a ViT-L's has 1.2e9
RUN_WEIGHTS, RUN_STAGES = "weights.safetensors", "stages.json"  # in the folder of a run
# What only folders of runs and of checkpoints have.
_OF_A_RUN = (RUN_WEIGHTS, RUN_STAGES, "metrics.jsonl", "manifest.json")
_LARGEST_HEADER = 8 << 20  # bytes of JSON in a safetensors file; a ViT-L's has 40 thousand
_AGAIN = "get the file again"
_DTYPES = {  # of safetensors, and what `common/number_formats.py` calls them
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}
_QUANTISED = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0")  # make sense with scales only


class Entry(NamedTuple):
    """An array in a file; `begin` is its place in bytes from the beginning of the file."""

    shape: tuple[int, ...]
    dtype: str
    begin: int


def weights_file(given: str) -> str:
    """Returns the weights that the user means: of the folder of a run, those of its result.

    Args:
        given: a file, a folder, an address or a name; `~` and variables are expanded. A folder
            that is not of a run stays as it is.

    Raises:
        UserError: for an empty folder, and for that of a run which is not finished.
    """
    if not given or "://" in given:
        return given
    path = user_path(given)
    if not path.is_dir():
        return str(path)
    if not any((path / name).exists() for name in _OF_A_RUN) and not _checkpoints(path):
        if "/" in given and not any(path.iterdir()):
            raise UserError(f"{path} is an empty folder; give a weights file")
        # A name, such as deit_ti, next to a folder of that name stays a name.
        return str(path) if "/" in given else given
    found = _last_stage(path) / RUN_WEIGHTS
    if found.is_file():
        return str(found)
    checkpoints = [path, *_checkpoints(_last_stage(path))]
    newest = next((one for one in checkpoints if (one / "manifest.json").is_file()), None)
    if newest is None:
        raise UserError(f"{path} is a folder without {RUN_WEIGHTS}; give a weights file")
    raise UserError(
        f"{path} has no {RUN_WEIGHTS}, since its run is not finished: give the run's command once "
        "more to finish it, or make weights of its newest checkpoint: python -m "
        f"tools.average_weights {newest} --output mine.safetensors"
    )


def split_part(source: str) -> tuple[str, str]:
    """Splits `FILE#KEY` into the file and the key of the wanted model, which is "" for none.

    A path that exists stays whole, whatever characters it has.
    """
    before, mark, part = source.rpartition("#")
    if not mark or not before or user_path(source).exists():
        return source, ""
    return before, part


def _checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run, the newest first."""
    return sorted(folder.glob("checkpoints/step_*"), reverse=True)


def _last_stage(folder: Path) -> Path:
    """Returns the folder of the last stage of a run in stages; of another run its own."""
    path = folder / RUN_STAGES
    names = read_json(path) if path.is_file() else []
    if isinstance(names, list) and names and isinstance(names[-1], str):
        return folder / Path(names[-1]).name
    return folder


def read_metadata(path: str | Path) -> dict[str, str]:
    """Reads the text metadata of a weights file; only safetensors files have any.

    Raises:
        UserError: when the file is missing, damaged, or not weights at all.
    """
    path = Path(path)
    if path.is_dir():
        return {}
    return read_header(path)[1] if kind_of(path) == SAFETENSORS else {}


def own_metadata(metadata: dict[str, str], origin: str) -> dict[str, Any] | None:
    """Returns the description in a weights file of this project; None for other files.

    Args:
        metadata: the text metadata of the file.
        origin: the name of the file, for errors.

    Raises:
        UserError: when the description is not readable.
    """
    if METADATA not in metadata:
        return None
    try:
        content = json.loads(metadata[METADATA])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{origin}: its metadata is not readable ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{origin}: its metadata is not readable (not an object)")
    return content


def read_safetensors(
    path: Path, arrays: bool = True
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Reads the named arrays and the text metadata of a file.

    Args:
        path: of the file.
        arrays: whether to read the arrays; False: the first result is empty.

    Returns:
        Arrays by name, bfloat16 and float8 widened to float32; the metadata.

    Raises:
        UserError: when the file is damaged.
    """
    entries, metadata = read_header(path)
    found = {name: read_entry(path, entry) for name, entry in entries.items() if arrays}
    return found, metadata


def read_entry(path: Path, entry: Entry) -> NDArray[Any]:
    """Reads one array of a file."""
    size = math.prod(entry.shape) * size_of(entry.dtype)
    try:
        content = np.fromfile(path, np.uint8, size, offset=entry.begin)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    if len(content) != size:
        raise UserError(f"{path}: not a readable safetensors file: it is cut short; {_AGAIN}")
    return decode(content, entry.dtype).reshape(entry.shape)


def read_header(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Reads what arrays a file has, and its text metadata.

    Raises:
        UserError: when the file is damaged, cut short, or of quantised values.
    """
    content, begin, size = _read_json_header(path)
    try:
        metadata = content.pop("__metadata__", None) or {}
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("its metadata is no text")
        entries = {name: _entry(name, one, begin) for name, one in content.items()}
        end = begin
        for name, entry in sorted(entries.items(), key=lambda item: item[1].begin):
            if math.prod(entry.shape) and entry.begin != end:
                raise ValueError(f"a hole, or an overlap, before {name}")
            end += math.prod(entry.shape) * size_of(entry.dtype)
        if end < size:
            raise ValueError(f"it has {size} bytes, and its arrays end at {end}")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # a damaged header raises almost anything
        said = error if isinstance(error, ValueError) else "its header is damaged"
        raise UserError(f"{path}: not a readable safetensors file: {said}; {_AGAIN}") from None
    if end > size:
        raise UserError(
            f"{path}: not a readable safetensors file: cut short: it has {size} of {end} bytes; "
            f"{_AGAIN}"
        )
    return entries, metadata


def _read_json_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """Returns the header, where it ends, and the size of the file; sizes are checked first."""
    try:
        with open(path, "rb") as file:
            header, size = int.from_bytes(file.read(8), "little"), file.seek(0, 2)
            if size > LARGEST_WEIGHTS or header > min(size - 8, _LARGEST_HEADER):
                short = "cut short, or " if header <= _LARGEST_HEADER else ""
                raise UserError(
                    f"{path}: not a readable safetensors file: {short}damaged: {size} bytes with "
                    f"a header of {header} (at most {LARGEST_WEIGHTS} and {_LARGEST_HEADER} are "
                    f"read); {_AGAIN}"
                )
            file.seek(8)
            content = json.loads(file.read(header))
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a readable safetensors file: damaged header; {_AGAIN}")
    return content, 8 + header, size


def _entry(name: str, stated: dict[str, Any], begin: int) -> Entry:
    dtype, shape, (first, last) = stated["dtype"], stated["shape"], stated["data_offsets"]
    if dtype in _QUANTISED:
        raise UserError(f"{name} has {dtype} values: quantised weights are not read")
    numbers = [*shape, first, last]
    if dtype not in _DTYPES or not all(type(n) is int and 0 <= n < 1 << 63 for n in numbers):
        raise ValueError(f"{name} is no array of numbers")
    if len(shape) > 64 or last - first != math.prod(shape) * size_of(_DTYPES[dtype]):
        raise ValueError(f"{name} has another size than its shape")
    return Entry(tuple(shape), _DTYPES[dtype], begin + first)
