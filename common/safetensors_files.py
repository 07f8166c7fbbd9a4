"""Reading safetensors files, with the metadata that this project keeps in its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from common.errors import UserError

METADATA = "rdrop"  # the entry of a weights file of this project that says what it is
_LARGEST_HEADER = 8 << 20  # bytes of JSON in a safetensors file; a ViT-L's has 40 thousand
LARGEST_WEIGHTS = 32 << 30  # bytes of a weights file; a ViT-L's has 1.2e9


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text metadata of a weights file; empty for all but `.safetensors`.

    Raises:
        UserError: when the file is missing or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    return read_safetensors(path, arrays=False)[1] if path.suffix == ".safetensors" else {}


def own_metadata(metadata: dict[str, str], origin: str) -> dict | None:
    """What a weights file of this project says of itself; None for files of others.

    Raises:
        UserError: when it is not readable; `origin` names the file.
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
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read named arrays (none without `arrays`) and the text metadata; bfloat16 is widened to
    float32.

    Raises:
        UserError: when the file is damaged.
    """
    from safetensors import deserialize, safe_open

    _check_header(path)
    try:
        with safe_open(str(path), framework="np") as file:
            metadata, names = dict(file.metadata() or {}), list(file.keys()) if arrays else []
            brain_floats = {
                name for name in names if file.get_slice(name).get_dtype() == "BF16"
            }  # numpy does not know it
            found = {name: file.get_tensor(name) for name in names if name not in brain_floats}
        if brain_floats:
            stored = dict(deserialize(path.read_bytes()))
            found.update(
                {
                    name: widen(stored[name]["data"]).reshape(stored[name]["shape"])
                    for name in brain_floats
                }
            )
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(
            f"{path}: not a readable safetensors file ({type(error).__name__}: {error})"
        ) from None
    return found, metadata


def _check_header(path: Path) -> None:
    """See that a safetensors file and its header are of a size that weights have, before anything
    is made of them.
    """
    try:
        with open(path, "rb") as file:
            header, size = int.from_bytes(file.read(8), "little"), file.seek(0, 2)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    if size > LARGEST_WEIGHTS or header > min(size - 8, _LARGEST_HEADER):
        raise UserError(
            f"{path}: not a readable safetensors file ({size} bytes with a header of {header}; at most "
            f"{LARGEST_WEIGHTS} and {_LARGEST_HEADER} are read)"
        )


def widen(content: bytes) -> np.ndarray:
    """The float32 values of bfloat16 ones in memory, exactly."""
    return (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32)
