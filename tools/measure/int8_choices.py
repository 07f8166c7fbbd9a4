"""Measures what each choice of the quantisation costs: which operators, which scales.

    python -m tools.measure.int8_choices --weights output/digits_rdrop [--images 256]

Prints top-1 on test images, the share of them that get the same class as in float32, the root mean
square error of the logits, and the size of the file. 256 training images calibrate.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from program import exits, paddle_setup, tool_arguments

if TYPE_CHECKING:
    import numpy as np

    from inference import Classifier
    from inference.export.samples import Samples

# Fields of `inference.export.int8.Choice`, by what they are.
_CHOICES: dict[str, dict[str, bool | float]] = {
    "linear layers but the first and the last": {},
    "one scale for each tensor": {"per_channel": False},
    "99.99 % of the values": {"percentile": 99.99},
    "all linear layers": {"ends": True},
    "all operators": {"everything": True},
}


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.measure.int8_choices", __doc__)
    parser.add_argument("--weights", required=True, help="a weights file of this project, or a run")
    parser.add_argument("--images", type=int, default=0, help="test images (0: all)")
    return parser.parse_args()


def _logits(classifier: Classifier, path: Path, test: Samples) -> np.ndarray:
    """Returns the logits of all test images, `(N, C)`."""
    import numpy as np

    from inference.export import onnx_files

    run = onnx_files.open_onnx(classifier, path, uint8=False)
    return np.concatenate([run(pixels) for pixels, _ in test.batches()])


def _line(name: str, logits: np.ndarray, full: np.ndarray, labels: np.ndarray, path: Path) -> str:
    best = logits.argmax(axis=1)
    top1, same = (best == labels).mean(), (best == full.argmax(axis=1)).mean()
    error = ((logits - full) ** 2).mean() ** 0.5
    size = path.stat().st_size / 1e6
    return f"| {name} | {100 * top1:.2f} | {100 * same:.2f} | {error:.4f} | {size:.2f} |"


def main() -> int:
    """Prints a row for each choice; returns the exit code."""
    words = _arguments()
    paddle_setup.load_paddle()
    import numpy as np

    from inference import load
    from inference.export import graph, int8, onnx_files, runners, samples

    runners.need("paddle2onnx", "onnx", "onnxruntime")
    classifier = load(words.weights)
    test = samples.test_part(classifier, "", words.images)
    labels = np.concatenate([labels for _, labels in test.batches()])
    print(
        test.said,
        "| quantised | top-1 | same class | error | MB |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        files = graph.save(classifier, Path(folder), uint8=False)
        onnx_files.convert(files, source, onnx_files.USUAL_OPSET)
        full = _logits(classifier, source, test)
        print(_line("nothing (float32)", full, full, labels, source), flush=True)
        for name, fields in _CHOICES.items():
            training = samples.training_part(classifier, "", int8.CALIBRATION)
            choice = int8.Choice(**fields)
            int8.quantise(classifier, source, target, training, uint8=False, choice=choice)
            logits = _logits(classifier, target, test)
            print(_line(name, logits, full, labels, target), flush=True)
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
