"""The base of all models: several noisy passes of the same images for little more than they cost.

The part before the first random layer runs once for all copies of an image.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.distributed.fleet.utils import recompute

from common.errors import UserError
from models.layers import (
    batch_copies,
    compiled_operators,
    describe_operators,
    in_bfloat16,
    missing_for_bfloat16,
    plain,
    random_layers,
    replay,
    silence,
    watched,
)
from models.weights.grid_resizing import resize_positions

# Up to this many elements in the tokens of all copies, Paddle's CPU operators take them together.
# With more, one copy after the other is faster: the output of a layer is then still in the cache
# when the next layer reads it.
_CACHED = 1 << 18


class MultiPass(nn.Layer):
    """A classifier that shares work between several passes of the same images.

    A family defines `embed` and `pool`; `predict`, unless it has one layer `head`; `block_groups`,
    unless it has the layers `pos_drop` and `blocks`; and, where its weights files need them,
    `heads`, `derived`, `timm_name`, `refit` and `check`. Shapes: B images, times the copies once
    they are split up.
    """

    registry_name = ""  # a key of `models.MODELS`; `models.create` sets it
    heads: tuple[str, ...] = ("head",)  # the layers that depend on the number of classes
    unused_heads: tuple[str, ...] = ()  # those of them that are neither trained nor evaluated
    # Endings of the names of buffers that follow from the shape, and are never read from a file.
    derived: tuple[str, ...] = ()
    # A position embedding has places of special tokens, and then a grid of this height and width.
    special_places = 0
    grid: tuple[int, int] = ()
    # Contexts of the forward pass.
    _precision = _operators = contextlib.nullcontext
    recomputed = False  # whether blocks run once more in the backward pass
    # Whether all copies must go through together: batch norm takes its statistics over them.
    joined = False
    branches = False  # whether blocks are residual branches, which a CPU has compiled versions of
    # What `features` returns: the tokens after so many layers; one more than there are: what the
    # heads read.
    cut = 0

    def embed(self, images: Tensor) -> Tensor:
        """Turns images `(B, 3, S, S)` into tokens `(B, N, D)`; draws no random numbers."""
        raise NotImplementedError

    def block_groups(self) -> list[tuple[nn.Layer, ...]]:
        """Returns the layers that tokens go through, in order.

        The first group is the embedding's dropout. Then one group follows for each block.
        """
        return [(self.pos_drop,), *((block,) for block in self.blocks)]

    def pool(self, tokens: Tensor) -> Tensor:
        """Turns tokens `(B, N, D)` into what the head reads, `(B, D)`; draws no random numbers.

        With several heads it is `(B, heads, D)`.
        """
        raise NotImplementedError

    def predict(self, pooled: Tensor) -> Tensor:
        """Turns what the head reads into logits `(B, C)`; draws no random numbers."""
        return self.head(pooled)

    def classify(self, tokens: Tensor) -> Tensor:
        """Turns tokens `(B, N, D)` into logits `(B, C)`; draws no random numbers."""
        return self.predict(self.pool(tokens))

    def is_in_head(self, name: str) -> bool:
        """Returns whether a parameter belongs to a head."""
        return name.startswith(tuple(f"{head}." for head in self.heads))

    @contextlib.contextmanager
    def head_inputs(self) -> Iterator[list[Tensor]]:
        """A context in which a list collects what the (first) head reads: `(B, D)` at each pass."""
        found: list[Tensor] = []
        layers = dict(self.named_sublayers())
        head = layers.get(self.heads[0]) or layers[f"net.{self.heads[0]}"]  # of a wrapped network
        with watched([head], before=lambda _, inputs: found.append(inputs[0])):
            yield found

    @staticmethod
    def timm_name(name: str) -> str:
        """Returns timm's name of a parameter with this name here; timm's own names stay."""
        return name

    def refit(self, name: str, array: np.ndarray) -> np.ndarray:
        """Fits an array of a weights file to this input size; the array itself if it fits already.

        Raises:
            ValueError: when it can't be fitted.
        """
        if not self.grid or name != "pos_embed":
            return array
        return resize_positions(array, self.grid, self.special_places)

    def check(self, arrays: dict[str, np.ndarray]) -> None:
        """Checks arrays together that fit one by one; their names are those of this model.

        Raises:
            ValueError: when together they are those of another model.
        """

    def forward(self, images: Tensor, copies: int = 1, cached: bool = False) -> Tensor:
        """Classifies images.

        Args:
            images: normalised, `(B, 3, S, S)`; with `cached` what `features` returned for them.
            copies: how many times each image passes, each time with other noise.
            cached: whether to go on from features.

        Returns:
            Logits `(copies, B, C)`; `(B, C)` for `copies=1`.
        """
        with self._operators(), self._precision():
            logits = self._behind(images, copies) if cached else self._logits(images, copies)
        return logits.astype("float32")

    def features(self, images: Tensor) -> Tensor:
        """Computes what the layers in front of `cut` make of normalised images `(B, 3, S, S)`."""
        with self._operators(), self._precision():
            return self._front(images)

    def longest_cut(self) -> int:
        """Returns the largest `cut` in front of which nothing is trained and nothing is random."""
        layers = self._layers()
        still = [_still(layer) and not random_layers(layer) for layer in layers]
        if not all(still):
            return still.index(False)
        named = self.named_parameters()
        heads_only = all(one.stop_gradient or self.is_in_head(name) for name, one in named)
        return len(layers) + (heads_only and not random_layers(self))

    def autocast(self, level: str, dtype: str) -> None:
        """Makes the model compute in half precision; the weights stay float32.

        Args:
            level: Paddle's O1 or O2.
            dtype: float16 or bfloat16.
        """
        self._precision = functools.partial(
            paddle.amp.auto_cast, level=level, dtype=dtype, use_promote=False
        )

    def missing_for_bfloat16(self) -> str:
        """Returns why a CPU can't multiply in bfloat16 for this model; empty: it can."""
        if not self.branches:
            return "a CPU has bfloat16 for the blocks of ViT, DeiT, CaiT and Swin only"
        with self._operators():
            return missing_for_bfloat16()

    def multiply_in_bfloat16(self) -> None:
        """Makes the blocks round the operands of their matrix products to bfloat16, on a CPU.

        All else stays float32: what the products add up and return, norms, softmax, the residual
        stream, weights and their gradients.
        """
        self._precision = in_bfloat16

    def use_plain_operators(self) -> None:
        """Makes the model compute with Paddle's own operators on a CPU, too."""
        self._operators = plain

    def describe_operators(self) -> str:
        """Returns which operators the model computes with, for people."""
        with self._operators():
            return describe_operators()

    def _logits(self, images: Tensor, copies: int) -> Tensor:
        return self._copied(self.embed(images), self._layers(), copies)

    def _layers(self) -> list[nn.Layer]:
        return [*itertools.chain(*self.block_groups())]

    def _front(self, images: Tensor) -> Tensor:
        layers = self._layers()
        tokens = self._through(self.embed(images), layers[: self.cut])
        return self.pool(tokens) if self.cut > len(layers) else tokens

    def _behind(self, features: Tensor, copies: int) -> Tensor:
        """Computes logits as `_logits` does, from what `_front` returned."""
        layers = self._layers()
        if self.cut <= len(layers):
            return self._copied(features, layers[self.cut :], copies)
        logits = self.predict(features)
        return logits if copies == 1 else paddle.stack([logits] * copies)

    def _copied(self, x: Tensor, layers: list[nn.Layer], copies: int) -> Tensor:
        """Computes logits from tokens that go through some layers; with copies `(copies, B, C)`."""
        if copies == 1:
            return self._run(x, layers)
        noisy = [self.training and bool(random_layers(layer)) for layer in layers]
        shared = noisy.index(True) if any(noisy) else len(layers)
        x = self._through(x, layers[:shared])
        logits = self._passes(x, layers[shared:], copies)
        return logits.reshape([copies, -1, *logits.shape[1:]])

    def _passes(self, x: Tensor, layers: list[nn.Layer], copies: int) -> Tensor:
        """Computes logits `(copies * B, C)` from what all copies share, `(B, N, D)`."""
        if not layers:  # nothing is random: all copies are the same
            return paddle.concat([self.classify(x)] * copies)
        together = self.joined or not x.place.is_cpu_place() or compiled_operators(x)
        if together or x.size * copies <= _CACHED:
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
        """Returns `layer(x)`; the backward pass runs it again with the same masks and precision."""
        # The context of the forward pass, then that of the backward pass.
        contexts = itertools.chain([contextlib.nullcontext], itertools.repeat(replay()))

        def run(x: Tensor) -> Tensor:
            with next(contexts)(), self._operators(), self._precision():
                return layer(x)

        # `use_reentrant=True` breaks training on several cards. `preserve_rng_state=True` needs
        # what Paddle 2.6 lacks on a CPU.
        return recompute(run, x, use_reentrant=False, preserve_rng_state=False)

    def recompute(self) -> None:
        """Makes the backward pass run each block once more, so that only its input is kept.

        Loss and gradients stay the same (Chen et al., arXiv:1604.06174).

        Raises:
            UserError: for a model that is not made of blocks.
        """
        if len(self.block_groups()) == 1:
            raise UserError(
                "train.recompute needs a model that is made of blocks (ViT, DeiT, CaiT, Swin)"
            )
        self.recomputed = True

    def share_blocks(self, count: int) -> None:
        """Switches the noise of the embedding and of the first blocks off.

        They then run once for all copies.

        Args:
            count: of the blocks; 0 leaves the embedding's noise on, too.

        Raises:
            ValueError: when there are fewer blocks.
        """
        groups = self.block_groups()
        if not 0 <= count < len(groups):
            raise ValueError(
                f"shared_blocks is {count}, expected 0 to {len(groups) - 1}, the number of blocks"
            )
        for layer in itertools.chain(*groups[: count + 1 if count else 0]):
            silence(layer)


def _still(layer: nn.Layer) -> bool:
    """Returns whether nothing of a layer is trained."""
    return all(parameter.stop_gradient for parameter in layer.parameters())
