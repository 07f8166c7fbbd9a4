"""Evaluation in bfloat16: on a CPU by oneDNN, through Paddle's inference engine, elsewhere by
automatic casts.

bfloat16 has 8 bits of precision: logits change by about a hundredth, and with them the predictions
for a few images in a thousand that were nearly undecided. Processors with AMX or AVX512-BF16 gain a
factor of 2 to 4; others lose.
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
    """A model in evaluation mode, with the same call: images `(B, 3, S, S)` to logits `(B, C)`.

    Args:
        model: whose weights are taken as they are now.
        image_size: S.

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
                self._run = inference.create_predictor(
                    _export(model, image_size, Path(folder) / "model")
                )
                self(paddle.zeros([1, 3, image_size, image_size]))
            except Exception as error:  # of a compiler, of any kind
                reason = next(
                    iter(str(error).strip().splitlines()[-1:]), type(error).__name__
                ).strip()
                raise UserError(
                    f"--precision=bfloat16: Paddle can't run this model in it ({reason})"
                ) from None

    def eval(self) -> None:
        """Nothing: it has no other mode."""

    def __call__(self, images: Tensor) -> Tensor:
        given = self._run.get_input_handle(self._run.get_input_names()[0])
        given.reshape(images.shape)
        given.copy_from_cpu(view(images.contiguous()))
        self._run.run()
        return paddle.to_tensor(
            self._run.get_output_handle(self._run.get_output_names()[0]).copy_to_cpu()
        )


def apply(model: MultiPass, image_size: int) -> MultiPass | Predictor:
    """What evaluates the model in bfloat16 on this device."""
    if paddle.get_device() != "cpu":
        model.autocast("O1", "bfloat16")
        return model
    return Predictor(model, image_size)


class _Whole(nn.Layer):
    """The model with images alone for an argument, as a program needs it."""

    def __init__(self, model: MultiPass):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


def _export(model: MultiPass, image_size: int, path: Path) -> inference.Config:
    """Write the model as a program, and say how it is to be run."""
    images = paddle.static.InputSpec([None, 3, image_size, image_size], "float32", "images")
    with plain():
        program = paddle.jit.to_static(_Whole(model), input_spec=[images], full_graph=True)
        paddle.jit.save(program, str(path))
    structure = next(
        path.with_suffix(end) for end in (".json", ".pdmodel") if path.with_suffix(end).exists()
    )
    config = inference.Config(str(structure), str(path.with_suffix(".pdiparams")))
    config.disable_gpu()
    config.disable_glog_info()
    config.enable_mkldnn()
    config.enable_mkldnn_bfloat16()
    config.set_cpu_math_library_num_threads(threads.available())
    return config
