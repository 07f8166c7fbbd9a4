"""Reads the labels of ImageNet's flat validation folder, from any of its published lists."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from common.errors import UserError
from common.reading import read_bytes, read_text

_LARGEST_LIST = 64 << 20  # bytes of a list of labels; the largest official one has 10 million
_LARGEST_MATLAB = 16 << 20  # bytes of the development kit's table


def validation_labels(root: Path, paths: list[Path], classes: tuple[str, ...]) -> dict[str, int]:
    """Reads the labels of the validation images.

    They come from the first of these in the root: `val_list.txt` or `val.txt` (name and position of
    the class), `LOC_val_solution.csv` (Kaggle), or the development kit (`ILSVRC2012_devkit_t12`).

    Args:
        root: the folder of the lists.
        paths: the validation images, sorted.
        classes: WordNet ids, in sorted order.

    Returns:
        Labels by the names of the files, without their endings.

    Raises:
        UserError: when no list is there, or it is damaged or of other classes.
    """
    ranks = {name: label for label, name in enumerate(classes)}
    try:
        return _read_any(root, paths, ranks)
    except (LookupError, ValueError, TypeError, AttributeError, OSError, csv.Error) as error:
        raise UserError(
            f"{root}: the labels of val/ are not readable, or of other classes than train/'s "
            f"({type(error).__name__}: {error})"
        ) from None


def _read_any(root: Path, paths: list[Path], ranks: dict[str, int]) -> dict[str, int]:
    for name in ("val_list.txt", "val.txt"):
        if (root / name).is_file():
            lines = read_text(root / name, _LARGEST_LIST).splitlines()
            rows = [line.rsplit(maxsplit=1) for line in lines if line.strip()]
            return {Path(file).stem: int(label) for file, label in rows}
    solution = root / "LOC_val_solution.csv"
    if solution.is_file():
        table = csv.DictReader(read_text(solution, _LARGEST_LIST).splitlines())
        return {row["ImageId"]: ranks[row["PredictionString"].split()[0]] for row in table}
    kits = sorted(root.glob("**/ILSVRC2012_validation_ground_truth.txt"))
    if not kits:
        raise UserError(
            f"{root}: val/ is flat, and neither val_list.txt, LOC_val_solution.csv nor the devkit "
            "is there"
        )
    wnids = read_wnids(kits[0].parent / "meta.mat")  # the kit numbers classes in its own order
    numbers = [int(line) for line in read_text(kits[0], _LARGEST_LIST).split()]
    if len(numbers) != len(paths):
        raise UserError(f"{kits[0]}: {len(numbers)} labels for {len(paths)} validation images")
    return {path.stem: ranks[wnids[number]] for path, number in zip(paths, numbers)}


_READ_MATLAB = """
import io, json, resource, sys
from scipy.io import loadmat
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
rows = loadmat(io.BytesIO(sys.stdin.buffer.read()), squeeze_me=True)["synsets"]
print(json.dumps({int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows}))
"""


def read_wnids(path: Path) -> dict[int, str]:
    """Reads the WordNet ids by number from the development kit's `meta.mat`.

    scipy's reader is compiled code that trusts its file, so it runs in a process with little
    memory.
    """
    content = read_bytes(path, _LARGEST_MATLAB)
    done = subprocess.run([sys.executable, "-c", _READ_MATLAB], input=content, capture_output=True)
    if done.returncode:
        problem = done.stderr[-200:].decode(errors="replace").strip().rpartition("\n")[2]
        raise UserError(f"{path}: is not readable as the development kit's ({problem})")
    return {int(number): str(wnid) for number, wnid in json.loads(done.stdout).items()}
