"""Reads the labels of ImageNet's flat validation folder, from any of its published lists."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import UserError
from common.reading import decode_text
from common.tar_files import read_members
from data.files.file_tree import FileTree
from data.files.stored_files import DiskFile

_LARGEST_MATLAB = 16 << 20  # bytes of the development kit's table
_LISTS = ("val_list.txt", "val.txt")
_SOLUTION = "LOC_val_solution.csv"
_NUMBERS, _TABLE = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
_KIT = "ILSVRC2012_devkit_t12"
_LARGEST_KIT = 64 << 20  # bytes unpacked; the official one has 30 million


def validation_labels(
    trees: Sequence[FileTree], stems: Sequence[str], classes: Sequence[str]
) -> dict[str, int]:
    """Reads the labels of the validation images.

    They come from the first of these: `val_list.txt` or `val.txt` (name and position of the class),
    `LOC_val_solution.csv` (Kaggle), or the development kit (`ILSVRC2012_devkit_t12`, unpacked or
    not).

    Args:
        trees: where the lists may be.
        stems: names of the validation images without their endings, sorted.
        classes: WordNet ids, in sorted order.

    Returns:
        Labels by the names of the files, without their endings.

    Raises:
        UserError: when no list is there, or it is damaged or of other classes.
    """
    ranks = {name: label for label, name in enumerate(classes)}
    for tree in trees:
        try:
            found = _read_any(tree, stems, ranks)
        except (LookupError, ValueError, TypeError, AttributeError, OSError, csv.Error) as error:
            raise UserError(
                f"{tree.place()}: the labels of val/ are not readable, or of other classes than "
                f"train/'s ({type(error).__name__}: {error})"
            ) from None
        if found is not None:
            return found
    raise UserError(
        f"{trees[0].place()}: val/ is flat, and neither val_list.txt, {_SOLUTION} nor the "
        f"development kit ({_KIT}) is there; copy one of them to {trees[-1].place()}"
    )


def _read_any(tree: FileTree, stems: Sequence[str], ranks: dict[str, int]) -> dict[str, int] | None:
    for name in _LISTS:
        if name in tree.known:
            lines = [line for line in tree.text(name).splitlines() if line.strip()]
            rows = [line.replace("\\", "/").rsplit(maxsplit=1) for line in lines]
            return {_stem(file): int(label) for file, label in rows}
    if _SOLUTION in tree.known:
        table = csv.DictReader(tree.text(_SOLUTION).splitlines())
        return {row["ImageId"]: ranks[row["PredictionString"].split()[0]] for row in table}
    kit = _read_kit(tree)
    if kit is None:
        return None
    place, text, content = kit
    wnids = read_wnids(content, place)  # the kit numbers classes in its own order
    numbers = [int(line) for line in text.split()]
    if len(numbers) != len(stems):
        raise UserError(f"{place}: {len(numbers)} labels for {len(stems)} validation images")
    return {stem: ranks[wnids[number]] for stem, number in zip(stems, numbers)}


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _read_kit(tree: FileTree) -> tuple[str, str, bytes] | None:
    """Returns the place, the numbers and the table of the development kit; None without one."""
    unpacked = [name for name in tree.names if name.rpartition("/")[2] == _NUMBERS]
    if unpacked:
        folder = unpacked[0].rpartition("/")[0]
        table = f"{folder}/{_TABLE}" if folder else _TABLE
        if table not in tree.known:
            raise UserError(f"{tree.place(unpacked[0])}: {_TABLE} is not next to it")
        content = tree.file(table).read(_LARGEST_MATLAB)
        return tree.place(table), tree.text(unpacked[0]), content
    packed = [name for name in tree.top_files if name.startswith(_KIT) and ".tar" in name]
    file = tree.file(packed[0]) if packed else None
    if not isinstance(file, DiskFile):
        return None
    wanted = {f"{_KIT}/data/{name}" for name in (_NUMBERS, _TABLE)}
    members = read_members(
        Path(file.path), wanted, "the development kit", 10_000, _LARGEST_MATLAB, _LARGEST_KIT
    )
    found = {name.rpartition("/")[2]: content for name, content in members}
    if len(found) < len(wanted):
        raise UserError(f"{file}: has no {_NUMBERS} or no {_TABLE}; is it the official one?")
    return str(file), decode_text(found[_NUMBERS], _NUMBERS), found[_TABLE]


_READ_MATLAB = """
import io, json, resource, sys
from scipy.io import loadmat
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
rows = loadmat(io.BytesIO(sys.stdin.buffer.read()), squeeze_me=True)["synsets"]
print(json.dumps({int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows}))
"""


def read_wnids(content: bytes, place: str) -> dict[int, str]:
    """Reads the WordNet ids by number from the development kit's `meta.mat`.

    scipy's reader is compiled code that trusts its file, so it runs in a process with little
    memory.

    Args:
        content: of the file.
        place: of the file, for the error.
    """
    done = subprocess.run([sys.executable, "-c", _READ_MATLAB], input=content, capture_output=True)
    if done.returncode:
        problem = done.stderr[-200:].decode(errors="replace").strip().rpartition("\n")[2]
        raise UserError(f"{place}: is not readable as the development kit's ({problem})")
    return {int(number): str(wnid) for number, wnid in json.loads(done.stdout).items()}
