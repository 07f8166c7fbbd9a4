"""ONNX: made from a Paddle inference model by paddle2onnx, and run by onnxruntime."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import threads
from common.errors import UserError
from inference.classifier import Classifier
from inference.export.graph import statistics
from inference.export.runners import INPUT, OUTPUT, Runner, feeder, quiet

OPSETS = range(13, 20)  # what the int8 of channels needs, to what paddle2onnx 2.1 writes
USUAL_OPSET = 17  # the first with an operator for layer norm
_LARGEST = (1 << 31) - (1 << 24)  # bytes of a protobuf, less room for the graph
_BATCH = "batch"  # the name of the first axis


def convert(files: list[Path], target: Path, opset: int) -> None:
    """Converts a Paddle inference model to ONNX, and checks it.

    Args:
        files: the program and its weights.
        target: the ONNX file.
        opset: version of the operators.

    Raises:
        UserError: when it can't be converted.
    """
    if files[1].stat().st_size > _LARGEST:
        raise UserError(
            f"the weights have {files[1].stat().st_size / 1e9:.1f} GB, but an ONNX file at most 2: "
            "use --format paddle"
        )
    said: list[str] = []
    with quiet(said), contextlib.suppress(Exception):  # it prints the reason, and raises another
        import paddle2onnx

        paddle2onnx.export(*map(str, files), str(target), opset_version=opset)
    if not target.exists():
        reason = next((line for line in said if "error" in line.lower()), "it gives no reason")
        raise UserError(f"paddle2onnx can't convert this model: {reason}; use --format paddle")
    _finish(target)


def _finish(path: Path) -> None:
    """Names the output and the axis of the batch, and checks the model by ONNX's own rules."""
    import onnx

    model = onnx.load(str(path))
    graph, old = model.graph, model.graph.output[0].name
    for node in graph.node:
        node.output[:] = [OUTPUT if name == old else name for name in node.output]
        node.input[:] = [OUTPUT if name == old else name for name in node.input]
    graph.output[0].name = OUTPUT
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = _BATCH
    if graph.input[0].name != INPUT or len(graph.input) != 1 or len(graph.output) != 1:
        raise UserError(
            f"paddle2onnx made a model with the inputs {[one.name for one in graph.input]}, "
            f"expected {INPUT} alone; use --format paddle"
        )
    del graph.value_info[:]  # shapes with the old names
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def open_onnx(classifier: Classifier, path: Path, uint8: bool) -> Runner:
    """Opens an ONNX file with onnxruntime; returns what computes logits from pixels.

    Args:
        classifier: says how pixels are normalised.
        path: of the file.
        uint8: whether it takes pixels, and normalises them itself.
    """
    session = open_session(path)

    def run(images: NDArray[Any]) -> NDArray[np.float32]:
        return session.run([OUTPUT], {INPUT: images})[0]

    return feeder(run, () if uint8 else statistics(classifier))


def open_session(path: Path) -> Any:
    """Opens an ONNX file with onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads.available()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
