"""A whole export: the models, the checks, the comparison, and what stands next to them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import paddle

from common.atomic_writing import atomic_folder
from common.errors import UserError, listed
from inference.classifier import Classifier
from inference.export import comparison, graph, int8, onnx_files, package, runners, samples
from inference.export.comparison import Opened, Row

FORMATS = ("paddle", "onnx", "both")
PRECISIONS = ("float32", "bfloat16", "int8")
_ONLY = {"bfloat16": "paddle", "int8": "onnx"}  # the format that has a precision
_WHY = {
    "bfloat16": "onnxruntime computes in bfloat16 on no CPU",
    "int8": "only onnxruntime quantises with calibration images here",
}


class Options(NamedTuple):
    """What is asked for.

    Attributes:
        format: one of `FORMATS`.
        precision: one of `PRECISIONS`.
        uint8: whether the graph takes pixels and normalises them itself.
        max_drop: how much top-1 may fall in another precision than float32, a fraction.
        opset: of ONNX.
        data_root: where the data of the run is now; empty: where it was.
        images: of the test part; 0: all.
    """

    format: str = "both"
    precision: str = "float32"
    uint8: bool = False
    max_drop: float = 0.01
    opset: int = onnx_files.USUAL_OPSET
    data_root: str = ""
    images: int = 0


class Exported(NamedTuple):
    """What was measured: a row for each model, on which images."""

    rows: list[Row]
    images: str
    opset: int


def check_options(options: Options, target: Path) -> None:
    """Checks what can be checked before the work.

    Raises:
        UserError: for what does not go together, for libraries that are missing, and for a folder
            with other files, which would be lost.
    """
    precision, only = options.precision, _ONLY.get(options.precision, options.format)
    if options.format != only:
        raise UserError(f"--precision {precision} needs --format {only}: {_WHY[precision]}")
    if not 0 <= options.max_drop <= 1:
        raise UserError(f"--max_drop is {options.max_drop}, expected 0 to 1")
    if options.images < 0:
        raise UserError(f"--images is {options.images}, expected 0 (all) or more")
    if options.opset not in onnx_files.OPSETS:
        known = onnx_files.OPSETS
        raise UserError(f"--opset is {options.opset}, expected {known[0]} to {known[-1]}")
    if target == Path.cwd():
        raise UserError("--to is the current folder, which would be replaced; give a new folder")
    if target.is_dir():
        others = sorted({path.name for path in target.iterdir()} - package.FILES)
        if others:
            raise UserError(
                f"--to: {target} has other files ({listed(others)}), which would be lost; give a "
                "new folder"
            )
    elif target.exists() or target.is_symlink():
        raise UserError(f"--to: {target} is a file; give the name of a folder")
    if options.format != "paddle":
        runners.need("paddle2onnx", "onnx", "onnxruntime")


def export(
    classifier: Classifier, target: Path, options: Options, say: Callable[[str], None]
) -> Exported:
    """Exports a model; the folder is complete and checked, or it is not there.

    Args:
        classifier: the model.
        target: the folder; an earlier export in it is replaced.
        options: checked by `check_options`.
        say: prints a line.

    Raises:
        UserError: for what can't be exported.
        Refused: when a check fails.
    """
    package.check_labels(classifier.classes)
    test = samples.test_part(classifier, options.data_root, options.images)
    if test.dataset is None and options.precision != "float32":
        raise UserError(
            f"--precision {options.precision} needs the data, to measure what it costs: give "
            f"--data_root ({test.said})"
        )
    if paddle.__version__.startswith("2."):  # its jit can't read the models' functions
        raise UserError(
            f"tools.export needs Paddle 3, this is {paddle.__version__}; take the weights "
            "to a machine that has it"
        )
    say(f"checked on {test.said}")
    with atomic_folder(target) as folder, tempfile.TemporaryDirectory(dir=folder) as work:
        opened = _models(classifier, folder, Path(work), options, say)
        rows = comparison.compare(classifier, opened, test)
        _check(rows, options)
        described = package.rules(classifier, options.uint8, options.precision)
        package.write(folder, classifier, described, rows, test.said)
    return Exported(rows, test.said, options.opset)


def _models(
    classifier: Classifier, folder: Path, work: Path, options: Options, say: Callable[[str], None]
) -> list[Opened]:
    """Makes and opens the models, with those that another one is compared with."""
    keeps_paddle = options.format != "onnx"
    files = graph.save(classifier, folder if keeps_paddle else work, options.uint8)
    models = []
    if keeps_paddle:
        for precision in dict.fromkeys(["float32", options.precision]):
            bfloat16 = precision == "bfloat16"
            run = graph.open_paddle(classifier, files, options.uint8, bfloat16)
            kept = precision == options.precision
            models.append(Opened(f"paddle {precision}", tuple(files), run, kept))
    if options.format != "paddle":
        models += _onnx_models(classifier, folder, work, files, options, say)
    return models


def _onnx_models(
    classifier: Classifier,
    folder: Path,
    work: Path,
    files: list[Path],
    options: Options,
    say: Callable[[str], None],
) -> list[Opened]:
    quantised = options.precision == "int8"
    plain = (work if quantised else folder) / package.ONNX
    onnx_files.convert(files, plain, options.opset)
    paths = {"float32": plain}
    if quantised:
        training = samples.training_part(classifier, options.data_root, int8.CALIBRATION)
        say(f"calibrated with {training.said}")
        paths["int8"] = folder / package.ONNX
        int8.quantise(classifier, plain, paths["int8"], training, options.uint8)
    return [
        Opened(
            f"onnx {precision}",
            (path,),
            onnx_files.open_onnx(classifier, path, options.uint8),
            kept=precision == options.precision,
        )
        for precision, path in paths.items()
    ]


def _check(rows: Sequence[Row], options: Options) -> None:
    """Checks the rows of the models; raises `Refused`."""
    full = [row for row in rows[1:] if row.name.endswith("float32")]
    for row in full:
        comparison.check_agreement(row)
    if options.precision == "float32":
        return
    reduced = rows[-1]
    if reduced.difference == full[-1].difference:
        raise runners.Refused(
            f"{reduced.name} computes the same as float32: this processor has no "
            f"{options.precision}; use --precision float32"
        )
    comparison.check_drop(reduced, full[-1], options.max_drop)


def as_json(exported: Exported) -> dict[str, Any]:
    """Returns what was measured, for a JSON file."""
    rows = [row._asdict() for row in exported.rows]
    return {"images": exported.images, "opset": exported.opset, "models": rows}
