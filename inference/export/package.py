"""What stands next to an exported model, so that it is used right."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.atomic_writing import write_json, write_text
from common.errors import UserError, one_line
from inference.classifier import Classifier
from inference.export import comparison
from inference.export.comparison import Row
from inference.export.graph import STEM
from inference.export.runners import INPUT, OUTPUT

RULES, LABELS, README, SCRIPT = "preprocess.json", "labels.txt", "README.md", "predict.py"
ONNX = f"{STEM}.onnx"
# Everything that an export writes: a folder with other files is not replaced.
FILES = frozenset(
    (
        *(RULES, LABELS, README, SCRIPT, ONNX),
        *(f"{STEM}{end}" for end in (".json", ".pdmodel", ".pdiparams")),
    )
)
_BREAKS = (
    "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # what `str.splitlines` takes for the end of a line
)


def check_labels(classes: Sequence[str]) -> None:
    """Checks that the names of the classes can be written one in a line.

    Raises:
        UserError: for a name with a line break, or with characters that UTF-8 has not.
    """
    for number, name in enumerate(classes):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            reason = "characters that UTF-8 can't write"
        else:
            if not set(_BREAKS) & set(name):
                continue
            reason = "a line break, but labels.txt has one class in each line"
        raise UserError(f"class {number}, {name[:50]!r}, has {reason}; rename it")


def rules(classifier: Classifier, uint8: bool, precision: str) -> dict[str, Any]:
    """Returns the content of `preprocess.json`."""
    model, data = classifier.config.model, classifier.config.data
    size, short = model.image_size, round(model.image_size / data.eval_crop)
    normalised = "the graph does it" if uint8 else "(pixel / 255 - mean) / std, for each channel"
    return {
        "input": INPUT,
        "output": OUTPUT,
        "dtype": "uint8" if uint8 else "float32",
        "shape": ["batch", 3, size, size],
        "colour": "RGB",
        "precision": precision,
        "exif_upright": data.exif_orientation == "apply",
        "size": size,
        "crop_fraction": data.eval_crop,
        "shorter_side": short,
        "interpolation": data.interpolation or "bicubic",
        "mean": list(model.mean),
        "std": list(model.std),
        "steps": [
            "decode to 8-bit RGB: 16-bit values / 257, transparent pixels white; "
            + "turned upright by EXIF, if exif_upright",
            "resize with Pillow's antialiasing, so that the shorter side has shorter_side pixels: "
            "height and width are max(shorter_side, round(side * shorter_side / shorter)), halves "
            "rounded to even; an image of that size stays as it is",
            "cut out size x size at top = (height - size) // 2, left = (width - size) // 2",
            f"normalise: {normalised}",
            "axes: channels, rows, columns",
        ],
        "probabilities": "softmax of the logits",
    }


def write(
    folder: Path,
    classifier: Classifier,
    described: dict[str, Any],
    rows: Sequence[Row],
    images: str,
) -> None:
    """Writes what stands next to the models.

    Args:
        folder: that has the models already.
        classifier: that they were made from.
        described: from `rules`.
        rows: the comparison; the first one is the model of this project.
        images: which images it was made on.
    """
    write_json(folder / RULES, described)
    write_text(folder / LABELS, "".join(f"{name}\n" for name in classifier.classes))
    shutil.copyfile(Path(__file__).parent / SCRIPT, folder / SCRIPT)
    write_text(folder / README, _readme(folder, classifier, described, rows, images))


def _readme(
    folder: Path,
    classifier: Classifier,
    described: dict[str, Any],
    rows: Sequence[Row],
    images: str,
) -> str:
    name, size = classifier.config.model.name, described["size"]
    needs = "onnxruntime" if (folder / ONNX).exists() else "paddlepaddle"
    takes = f"`{described['dtype']}` images of {size} x {size} pixels, `(batch, 3, {size}, {size})`"
    files = "\n".join(
        f"- `{path.name}`: {text}"
        for path, text in ((folder / name, text) for name, text in _ABOUT.items())
        if path.exists() or path.name in (RULES, LABELS, SCRIPT)
    )
    bfloat16 = _BFLOAT16 if described["precision"] == "bfloat16" else ""
    return f"""# {name}, {len(classifier.classes)} classes

    pip install {needs} numpy pillow
    python predict.py IMAGE.jpg

prints the file, the class and its probability. The model takes {takes} as `{INPUT}`, and returns
`{OUTPUT}`, `(batch, {len(classifier.classes)})`. The batch has any size. `{RULES}` tells how an
image becomes its input; `{SCRIPT}` does it.

{files}
{bfloat16}
## Measured

On {one_line(images)}. Top-1 in percent; the difference is that of the logits from the model that
was exported; speed on the machine that exported it.

{comparison.table(rows)}
"""


_ABOUT = {
    ONNX: "the model for onnxruntime and other programs that read ONNX",
    f"{STEM}.json": "the model for `paddle.inference`; its weights are in `model.pdiparams`",
    f"{STEM}.pdmodel": "the model for `paddle.inference`; its weights are in `model.pdiparams`",
    RULES: "size, crop, interpolation, mean and standard deviation, step by step",
    LABELS: "the classes in the order of the logits, one in each line",
    SCRIPT: "classifies image files",
}
_BFLOAT16 = """
The files hold float32. It computes in bfloat16 where it is loaded so: `enable_mkldnn()` and
`enable_mkldnn_bfloat16()` of `paddle.inference.Config`, on a processor that has it.
"""
