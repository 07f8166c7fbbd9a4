"""Static quantisation of an ONNX model to int8, by onnxruntime.

Quantised are the products with weights: linear layers and convolutions, except the first and the
last. Weights have a scale for each output channel, activations one for each tensor, by the smallest
and the largest value on calibration images. Norms, softmax, activations and the two products of
attention stay in float32. What this and other choices cost is measured in `docs/export.md`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from common.errors import UserError
from inference.classifier import Classifier
from inference.export.graph import statistics
from inference.export.runners import INPUT, prepared, quiet
from inference.export.samples import Samples

CALIBRATION = 256  # images
_KINDS = ("MatMul", "Gemm", "Conv")  # operators that multiply with weights


class Choice(NamedTuple):
    """What is quantised, and how; the defaults are what exports use.

    Attributes:
        ends: whether the first and the last product with weights are quantised, too.
        everything: whether all operators that onnxruntime can quantise are, such as the products of
            attention, softmax and sums.
        per_channel: whether a weight has a scale for each output channel, or one.
        percentile: share of the absolute values that a scale covers, in percent; 0: all of them.
    """

    ends: bool = False
    everything: bool = False
    per_channel: bool = True
    percentile: float = 0.0


class _Images:
    """Calibration images, as onnxruntime asks for them."""

    def __init__(self, batches: Iterator[dict[str, NDArray[Any]]]):
        self._batches = batches

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Returns the next batch; None at the end."""
        return next(self._batches, None)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Is asked for by some calibrations, none of which is used."""


def quantise(
    classifier: Classifier,
    source: Path,
    target: Path,
    images: Samples,
    uint8: bool,
    choice: Choice = Choice(),  # noqa: B008 (a tuple)
) -> None:
    """Quantises an ONNX file.

    Args:
        classifier: says how pixels are normalised.
        source: the float32 model.
        target: where the int8 model goes.
        images: to calibrate with; of the training part, so that the test part stays unseen.
        uint8: whether the model takes pixels.
        choice: what is quantised, and how.

    Raises:
        UserError: when there are no images, or onnxruntime can't quantise the model.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    used = () if uint8 else statistics(classifier)
    feeds = ({INPUT: prepared(pixels, used)} for pixels, _ in images.batches())
    said: list[str] = []
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder, quiet(said):
            # It joins what belongs together, and folds constants.
            merged = str(Path(folder) / "merged.onnx")
            quant_pre_process(str(source), merged, skip_symbolic_shape=True)
            quantization.quantize_static(
                merged,
                str(target),
                _Images(feeds),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                **_arguments(Path(merged), choice),
            )
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"onnxruntime can't quantise this model: {error}; use float32") from None


def _arguments(path: Path, choice: Choice) -> dict[str, Any]:
    """Returns what a choice means for onnxruntime, for the model in a file."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod

    method = CalibrationMethod.Percentile if choice.percentile else CalibrationMethod.MinMax
    found: dict[str, Any] = {"per_channel": choice.per_channel, "calibrate_method": method}
    if choice.percentile:
        found["extra_options"] = {"CalibPercentile": choice.percentile}
    if choice.everything:
        return found
    graph = onnx.load(str(path)).graph
    weights = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in _KINDS]
    learned = [node.name for node in products if weights & set(node.input)]
    others = [node.name for node in products if not weights & set(node.input)]
    ends = [] if choice.ends else [*learned[:1], *learned[-1:]]
    return {**found, "op_types_to_quantize": list(_KINDS), "nodes_to_exclude": [*others, *ends]}
