"""Export trained weights as files that run without this project.

    python -m tools.export --weights output/digits_rdrop --to DIR [--format paddle|onnx|both]

Writes a Paddle inference model (model.json, model.pdiparams), an ONNX model (model.onnx), or both,
with preprocess.json, labels.txt, a README.md with what was measured, and predict.py, which
classifies images with onnxruntime, numpy and pillow alone. Before the folder gets its name, each
model is run on the test images of the weights' data (on made-up images where the data is not
there), and compared with the model of this project: logits, top-1, size, images in a second.

--precision int8 (ONNX) is calibrated with training images; bfloat16 (Paddle) needs a processor that
has it. Exit code 1: a model computes something else, or loses more than --max_drop; nothing is
kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common.atomic_writing import write_json
from common.reading import user_path
from program import exits, paddle_setup, tool_arguments


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.export", __doc__)
    add = parser.add_argument
    add("--weights", required=True, help="a weights file that this project wrote, or its run")
    add("--to", required=True, type=user_path, metavar="DIR", help="the folder; made, or replaced")
    add("--format", default=None, choices=["paddle", "onnx", "both"], help="both, where it can be")
    add("--precision", default="float32", choices=["float32", "bfloat16", "int8"])
    add("--uint8", action="store_true", help="the graph takes pixels and normalises them itself")
    add("--max_drop", type=float, default=0.01, help="top-1 that may be lost, a fraction (0.01)")
    add("--opset", type=int, default=17, help="version of ONNX's operators, 13 to 19 (17)")
    add("--data_root", default="", help="the folder or archive of the data, if it has moved")
    add("--images", type=int, default=0, help="test images to measure with (0: all)")
    add("--json", default="", help="write what was measured there, too")
    return parser.parse_args()


def main() -> int:
    """Exports the weights of the command line; returns the exit code."""
    words = _arguments()
    target: Path = words.to.resolve()
    tool_arguments.check_folder("--to", target.parent)
    report = tool_arguments.check_output("--json", words.json, [words.weights])
    paddle_setup.load_paddle()
    from inference import load
    from inference.export import comparison, export
    from inference.export.runners import Refused

    usual = {"bfloat16": "paddle", "int8": "onnx"}.get(words.precision, "both")
    named = {name: getattr(words, name) for name in export.Options._fields if name != "format"}
    options = export.Options(format=words.format or usual, **named)
    export.check_options(options, target)
    classifier = load(words.weights)
    try:
        done = export.export(classifier, target, options, lambda line: print(line, flush=True))
    except Refused as refusal:
        print(f"FAILED: {refusal}; nothing is kept", flush=True)
        return exits.FAILED_EXPECTATION
    print(comparison.table(done.rows))
    print(f"exported: {target}; its README.md tells how to use it")
    if report:
        write_json(report, export.as_json(done))
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
