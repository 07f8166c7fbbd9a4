"""Reads safetensors files, and the entry in which this project describes its own weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.reading import read_json, user_path

METADATA = "rdrop"  # the entry of the metadata that describes this project's own weights
LARGEST_WEIGHTS = 32 << 30  # bytes of a weights file; a ViT-L's has 1.2e9
RUN_WEIGHTS, RUN_STAGES = "weights.safetensors", "stages.json"  # in the folder of a run
_OF_A_RUN = (RUN_WEIGHTS, RUN_STAGES, "config.json", "manifest.json")  # also of a checkpoint
_LARGEST_HEADER = 8 << 20  # bytes of JSON in a safetensors file; a ViT-L's has 40 thousand


def weights_file(given: str) -> str:
    """Returns the weights that the user means: of the folder of a run, those of its result.

    Args:
        given: a file, the folder of a run, an address or a name; `~` and variables are expanded.

    Raises:
        UserError: for a folder without such weights.
    """
    if not given or "://" in given:
        return given
    path = user_path(given)
    if not path.is_dir():
        return str(path)
    if not any((path / name).exists() for name in _OF_A_RUN) and "/" not in given:
        return given  # a name, such as deit_ti, next to a folder of that name
    found = _last_stage(path) / RUN_WEIGHTS
    if found.is_file():
        return str(found)
    checkpoints = [path, *sorted(_last_stage(path).glob("checkpoints/step_*"), reverse=True)]
    newest = next((one for one in checkpoints if (one / "manifest.json").is_file()), None)
    if newest is None:
        raise UserError(f"{path} is a folder without {RUN_WEIGHTS}; give a weights file")
    raise UserError(
        f"{path} has no {RUN_WEIGHTS}, since its run is not finished: give the run's command once "
        "more to finish it, or make weights of its newest checkpoint: python -m "
        f"tools.average_weights {newest} --output mine.safetensors"
    )


def _last_stage(folder: Path) -> Path:
    """Returns the folder of the last stage of a run in stages; of another run its own."""
    path = folder / RUN_STAGES
    names = read_json(path) if path.is_file() else []
    if isinstance(names, list) and names and isinstance(names[-1], str):
        return folder / Path(names[-1]).name
    return folder


def read_metadata(path: str | Path) -> dict[str, str]:
    """Reads the text metadata of a weights file; only `.safetensors` files have any.

    Raises:
        UserError: when the file is missing or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    return read_safetensors(path, arrays=False)[1] if path.suffix == ".safetensors" else {}


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
        Arrays by name, bfloat16 widened to float32; the metadata.

    Raises:
        UserError: when the file is damaged.
    """
    from safetensors import deserialize, safe_open

    _check_header(path)
    try:
        with safe_open(str(path), framework="np") as file:
            metadata, names = dict(file.metadata() or {}), list(file.keys()) if arrays else []
            # numpy has no bfloat16: these arrays are read as bytes.
            narrow = [name for name in names if file.get_slice(name).get_dtype() == "BF16"]
            found = {name: file.get_tensor(name) for name in names if name not in narrow}
        stored = dict(deserialize(path.read_bytes())) if narrow else {}
        for name in narrow:
            found[name] = widen(stored[name]["data"]).reshape(stored[name]["shape"])
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(
            f"{path}: not a readable safetensors file ({type(error).__name__}: {error})"
        ) from None
    return found, metadata


def _check_header(path: Path) -> None:
    """Checks the sizes of a file and its header before anything is parsed."""
    try:
        with open(path, "rb") as file:
            header, size = int.from_bytes(file.read(8), "little"), file.seek(0, 2)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    if size > LARGEST_WEIGHTS or header > min(size - 8, _LARGEST_HEADER):
        raise UserError(
            f"{path}: not a readable safetensors file ({size} bytes with a header of {header}; "
            f"at most {LARGEST_WEIGHTS} and {_LARGEST_HEADER} are read)"
        )


def widen(content: bytes) -> NDArray[np.float32]:
    """Converts bytes of bfloat16 values to float32, exactly."""
    return (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32)
