"""The network as one graph: saved as a Paddle inference model, and run by `paddle.inference`."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.static import InputSpec

from common import threads
from inference.classifier import Classifier
from inference.export.runners import INPUT, OUTPUT, Runner, feeder, quiet
from models.layers import plain

STEM = "model"  # of the names of the files
_PROGRAMS = (".json", ".pdmodel")  # Paddle 3 writes the first, Paddle 2.6 the second
_WEIGHTS = ".pdiparams"


class _Graph(nn.Layer):
    """A model that is called with images alone, normalised or as pixels.

    Args:
        model: in evaluation mode.
        mean: of the channels, in 0 to 255; empty for images that are normalised already.
        std: of the channels, likewise in 0 to 255.
    """

    def __init__(self, model: nn.Layer, mean: NDArray[np.float32], std: NDArray[np.float32]):
        super().__init__()
        self.model, self.takes_pixels = model, bool(len(mean))
        if self.takes_pixels:
            self.register_buffer("mean", paddle.to_tensor(mean.reshape([1, -1, 1, 1])))
            self.register_buffer("std", paddle.to_tensor(std.reshape([1, -1, 1, 1])))

    def forward(self, images: Tensor) -> Tensor:
        if self.takes_pixels:
            images = (images.astype("float32") - self.mean) / self.std
        return self.model(images)


def statistics(classifier: Classifier) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns mean and standard deviation of the channels, in 0 to 255, as the model takes them."""
    model = classifier.config.model
    return np.array(model.mean, np.float32) * 255, np.array(model.std, np.float32) * 255


def save(classifier: Classifier, folder: Path, uint8: bool) -> list[Path]:
    """Saves the model as a Paddle inference model, with any number of images in a batch.

    Args:
        classifier: with the model.
        folder: where the files go; it exists.
        uint8: whether the graph takes pixels and normalises them; else it takes what is normalised.

    Returns:
        The files: the program, then its weights.
    """
    side = classifier.config.model.image_size
    nothing = np.empty(0, np.float32)
    mean, std = statistics(classifier) if uint8 else (nothing, nothing)
    spec = InputSpec([None, 3, side, side], "uint8" if uint8 else "float32", INPUT)
    # The guard: names, and so the bytes of the files, do not depend on what was made before.
    with warnings.catch_warnings(), plain(), paddle.utils.unique_name.guard():
        warnings.simplefilter("ignore")  # of what tracing meets on its way
        graph = _Graph(classifier.model, mean, std)
        graph.eval()
        paddle.jit.save(graph, str(folder / STEM), input_spec=[spec])
    program = next(path for end in _PROGRAMS if (path := folder / f"{STEM}{end}").exists())
    if program.suffix == ".json":  # else the output is named fetch_name_0
        text = program.read_text(encoding="utf-8").replace('"fetch_name_0"', f'"{OUTPUT}"')
        # Notes of where an operator was made number the models of the process.
        text = re.sub(r'"D":"/(\w+?)_\d+/', r'"D":"/\1/', text)
        program.write_text(text, encoding="utf-8")
    # Paddle 2.6: names for further training.
    (folder / f"{STEM}{_WEIGHTS}.info").unlink(missing_ok=True)
    return [program, folder / f"{STEM}{_WEIGHTS}"]


def open_paddle(classifier: Classifier, files: list[Path], uint8: bool, bfloat16: bool) -> Runner:
    """Opens a saved model with `paddle.inference`; returns what computes logits from pixels.

    Args:
        classifier: says how pixels are normalised.
        files: from `save`.
        uint8: as they were saved.
        bfloat16: whether oneDNN computes in bfloat16.
    """
    from paddle import inference

    config = inference.Config(*map(str, files))
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(threads.available())
    config.enable_mkldnn()
    if bfloat16:
        config.enable_mkldnn_bfloat16()
    with quiet([]):
        predictor = inference.create_predictor(config)

    def run(images: NDArray[Any]) -> NDArray[np.float32]:
        predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(images)
        predictor.run()
        return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()

    classify = feeder(run, () if uint8 else statistics(classifier))
    side = classifier.config.model.image_size
    with quiet([]):  # the first pass prints which operators oneDNN lacks
        classify(np.zeros((1, 3, side, side), np.uint8))
    return classify
