"""Evaluates in bfloat16: on a CPU by oneDNN (Paddle's inference engine), else by automatic casts.

bfloat16 has 8 bits of precision. Logits change by about one percent, and with them the predictions
for a few images in a thousand that were nearly undecided. Processors with AMX or AVX512-BF16 are
faster by a factor of 2 to 4; others are slower.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import paddle
from paddle import Tensor, inference, nn

from common import threads
from common.errors import UserError
from models.layers.arrays import view
from models.layers.operators import plain
from models.multipass import MultiPass


class Predictor:
    """A model in evaluation mode that is called like the model: images to logits.

    For the rest of the process Paddle's engine sets the number of MKL's threads to one. Sums of
    float32 matrix products may then be in another order.

    Args:
        model: its weights are taken as they are now.
        image_size: side of the images, in pixels.

    Raises:
        UserError: when Paddle can't make a program of the model.
    """

    training = False

    def __init__(self, model: MultiPass, image_size: int):
        if paddle.__version__.startswith("2."):
            raise UserError(
                f"--precision=bfloat16 on a CPU needs Paddle 3, this is {paddle.__version__}"
            )
        model.eval()
        with tempfile.TemporaryDirectory() as folder:
            try:
                options = _export(model, image_size, Path(folder) / "model")
                self._run = inference.create_predictor(options)
                self(paddle.zeros([1, 3, image_size, image_size]))
            except Exception as error:  # of a compiler, of any kind
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise UserError(
                    f"--precision=bfloat16: Paddle can't run this model in it ({lines[-1].strip()})"
                ) from None

    def eval(self) -> None:
        """Does nothing: there is no other mode."""

    def __call__(self, images: Tensor) -> Tensor:
        """Returns logits `(B, C)` of images `(B, 3, S, S)`."""
        given = self._run.get_input_handle(self._run.get_input_names()[0])
        given.reshape(images.shape)
        given.copy_from_cpu(view(images.contiguous()))
        self._run.run()
        logits = self._run.get_output_handle(self._run.get_output_names()[0])
        return paddle.to_tensor(logits.copy_to_cpu())


def apply(model: MultiPass, image_size: int) -> MultiPass | Predictor:
    """Returns what evaluates the model in bfloat16 on this device."""
    if paddle.get_device() != "cpu":
        model.autocast("O1", "bfloat16")
        return model
    return Predictor(model, image_size)


class _ImagesOnly(nn.Layer):
    """The model with images as its only argument, which a program needs."""

    def __init__(self, model: MultiPass):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


def _export(model: MultiPass, image_size: int, path: Path) -> inference.Config:
    """Writes the model as a program; returns how to run it."""
    images = paddle.static.InputSpec([None, 3, image_size, image_size], "float32", "images")
    with plain():
        program = paddle.jit.to_static(_ImagesOnly(model), input_spec=[images], full_graph=True)
        paddle.jit.save(program, str(path))
    structure = next(file for file in map(path.with_suffix, (".json", ".pdmodel")) if file.exists())
    options = inference.Config(str(structure), str(path.with_suffix(".pdiparams")))
    options.disable_gpu()
    options.disable_glog_info()
    options.enable_mkldnn()
    options.enable_mkldnn_bfloat16()
    options.set_cpu_math_library_num_threads(threads.available())
    return options
