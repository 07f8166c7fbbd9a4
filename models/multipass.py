"""Several noisy passes of the same images for little more than they must cost."""

from __future__ import annotations

import contextlib
import functools
import itertools

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.distributed.fleet.utils import recompute

from common.errors import UserError
from models.layers.dropout import random_layers, silence
from models.layers.dropout_masks import batch_copies, replay
from models.layers.operators import compiled_operators, describe_operators, plain

# Elements of the tokens of all copies up to which they go through Paddle's operators together on a
# CPU. Beyond, one after the other is faster: what a layer leaves behind is still in the cache when
# the next one reads it.
_CACHED = 1 << 18


class MultiPass(nn.Layer):
    """A classifier of which the part before the first random layer runs once for all copies of an
    image.

    A family gives `embed`, `stages` and `classify`; and, where it differs, what its weights files
    need: `heads`, `derived`, `timm_name`, `refit` and `check`. Shapes: B images, times the copies
    once they are split up.
    """

    heads: tuple[str, ...] = ("head",)  # the layers that depend on the number of classes
    derived: tuple[
        str, ...
    ] = ()  # endings of the names of buffers that follow from the shape: never read from a file
    _precision = contextlib.nullcontext  # of the forward pass
    _operators = contextlib.nullcontext  # likewise
    recomputed = False  # whether blocks run once more in the backward pass
    # whether all copies must go through together (batch norm takes its statistics over them)
    joined = False

    def embed(self, images: Tensor) -> Tensor:
        """Images `(B, 3, S, S)` to tokens `(B, N, D)`; draws no random numbers."""
        raise NotImplementedError

    def stages(self) -> list[tuple[nn.Layer, ...]]:
        """What tokens go through, in order: the embedding's dropout, then one entry for each
        block.
        """
        raise NotImplementedError

    def classify(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, D)` to logits `(B, C)`; draws no random numbers."""
        raise NotImplementedError

    @staticmethod
    def timm_name(name: str) -> str:
        """timm's name for what is called `name` here; what is timm's name already stays as it
        is.
        """
        return name

    def refit(self, name: str, array: np.ndarray) -> np.ndarray:
        """Fit an array of a weights file to this input size; the array itself where there is
        nothing to do.

        Raises:
            ValueError: when that can't be.
        """
        return array

    def check(self, arrays: dict[str, np.ndarray]) -> None:
        """Look at arrays, with the names here, that fit one by one.

        Raises:
            ValueError: when together they are those of another model.
        """

    def forward(self, images: Tensor, copies: int = 1) -> Tensor:
        """Classify images.

        Args:
            images: normalised, `(B, 3, S, S)`.
            copies: how many times each image passes, each with noise of its own.

        Returns:
            Logits `(copies, B, C)`; `(B, C)` for `copies=1`.
        """
        with self._operators(), self._precision():
            logits = self._logits(images, copies)
        return logits.astype("float32")

    def autocast(self, level: str, dtype: str) -> None:
        """Compute in half precision: `level` is Paddle's O1 or O2, `dtype` float16 or bfloat16. The
        weights stay.
        """
        self._precision = functools.partial(
            paddle.amp.auto_cast, level=level, dtype=dtype, use_promote=False
        )

    def use_plain_operators(self) -> None:
        """Compute with Paddle's own operators on a CPU, too, which define what the compiled ones
        give.
        """
        self._operators = plain

    def describe_operators(self) -> str:
        """Which operators it computes with."""
        with self._operators():
            return describe_operators()

    def _logits(self, images: Tensor, copies: int) -> Tensor:
        x, layers = self.embed(images), [layer for stage in self.stages() for layer in stage]
        if copies == 1:
            return self._run(x, layers)
        noisy = [self.training and bool(random_layers(layer)) for layer in layers]
        shared = noisy.index(True) if any(noisy) else len(layers)
        x = self._through(x, layers[:shared])
        logits = self._passes(x, layers[shared:], copies)
        return logits.reshape([copies, -1, *logits.shape[1:]])

    def _passes(self, x: Tensor, layers: list[nn.Layer], copies: int) -> Tensor:
        """Logits `(copies * B, C)` from what all copies share, `(B, N, D)`."""
        if not layers:  # nothing is random: all copies are the same
            return paddle.concat([self.classify(x)] * copies)
        if self.joined or not x.place.is_cpu_place() or compiled_operators(x) or x.size * copies <= _CACHED:
            with batch_copies(range(copies)):
                return self._run(paddle.concat([x] * copies), layers)
        passes, state = [], paddle.get_rng_state()
        for copy in range(copies):
            paddle.set_rng_state(state)  # the masks are those of one joined pass
            with batch_copies(range(copy, copy + 1)):
                passes.append(self._run(x, layers))
        return paddle.concat(passes)

    def _run(self, x: Tensor, layers: list[nn.Layer]) -> Tensor:
        return self.classify(self._through(x, layers))

    def _through(self, x: Tensor, layers: list[nn.Layer]) -> Tensor:
        again = self.recomputed and self.training and paddle.is_grad_enabled()
        for layer in layers:
            x = self._recomputed(layer, x) if again and not x.stop_gradient else layer(x)
        return x

    def _recomputed(self, layer: nn.Layer, x: Tensor) -> Tensor:
        """`layer(x)`, which the backward pass computes again with the same masks and precision."""
        contexts = itertools.chain(
            [contextlib.nullcontext], itertools.repeat(replay())
        )  # now, and in the backward pass

        def run(x: Tensor) -> Tensor:
            with next(contexts)(), self._operators(), self._precision():
                return layer(x)

        # The other way breaks several cards; its own care for random numbers lacks CPUs in Paddle
        # 2.6.
        return recompute(run, x, use_reentrant=False, preserve_rng_state=False)

    def recompute(self) -> None:
        """Keep only what goes into each block for the gradient, and run the block once more in the
        backward pass.

        Loss and gradients stay the same (Chen et al., arXiv:1604.06174).

        Raises:
            UserError: for a model that is not made of blocks.
        """
        if len(self.stages()) == 1:
            raise UserError(
                "train.recompute needs a model that is made of blocks (ViT, DeiT, CaiT, Swin)"
            )
        self.recomputed = True

    def share(self, blocks: int) -> None:
        """Switch the noise of the embedding and of the first blocks off: they then run once for all
        copies.

        Raises:
            ValueError: when there are fewer blocks.
        """
        stages = self.stages()
        if not 0 <= blocks < len(stages):
            raise ValueError(
                f"shared_blocks is {blocks}, expected 0 to {len(stages) - 1}, the number of blocks"
            )
        for layer in (layer for stage in stages[: blocks + 1] for layer in stage):
            if blocks:
                silence(layer)
