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
from typing import Any

from numpy.typing import NDArray

from common.errors import UserError
from inference.classifier import Classifier
from inference.export.graph import statistics
from inference.export.runners import INPUT, prepared, quiet
from inference.export.samples import Samples

CALIBRATION = 256  # images
_KINDS = ("MatMul", "Gemm", "Conv")  # operators that multiply with weights


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
    classifier: Classifier, source: Path, target: Path, images: Samples, uint8: bool
) -> None:
    """Quantises an ONNX file.

    Args:
        classifier: says how pixels are normalised.
        source: the float32 model.
        target: where the int8 model goes.
        images: to calibrate with; of the training part, so that the test part stays unseen.
        uint8: whether the model takes pixels.

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
                op_types_to_quantize=list(_KINDS),
                nodes_to_exclude=_left_out(Path(merged)),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"onnxruntime can't quantise this model: {error}; use float32") from None


def _left_out(path: Path) -> list[str]:
    """Returns the nodes that stay in float32: products without weights, the first and the last."""
    import onnx

    graph = onnx.load(str(path)).graph
    weights = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in _KINDS]
    learned = [node.name for node in products if weights & set(node.input)]
    others = [node.name for node in products if not weights & set(node.input)]
    return [*others, *learned[:1], *learned[-1:]]
