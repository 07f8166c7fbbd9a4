"""Measures the memory of activations: what a real forward pass keeps for the gradient."""

import collections
import gc
import itertools
from typing import NamedTuple

import paddle
from paddle import Tensor, nn
from paddle.base import core

from models.families.vit_layers import Attention
from models.flops import ATTENTION
from models.layers import BATCH_NORMS, Dropout, as_on_gpu, changed, plain, replay, watched
from models.multipass import MultiPass

_FLOAT, _HALF = 4, 2  # bytes


class Kept(NamedTuple):
    """Bytes of one image with all its copies, between its forward and its backward pass."""

    whole: int
    outside: int  # part of `whole` that is not in any block
    boundaries: int  # inputs of the blocks through which a gradient comes back
    block: int  # the most that one of these blocks keeps

    @property
    def recomputed(self) -> int:
        """The most that is kept where blocks run again, one by one, in the backward pass."""
        return self.outside + self.boundaries + self.block


def kept(model: MultiPass, image_size: int, copies: int) -> Kept:
    """Measures what the model keeps on its device, with its operators and its precision.

    The model and later random numbers stay as they are.

    Args:
        model: to measure.
        image_size: in pixels.
        copies: of each image.
    """
    one = _Pass(model, image_size, 1, copies).kept()
    if paddle.get_device() == "cpu":
        return one
    # Copies of the weights in half precision do not grow with the images.
    two = _Pass(model, image_size, 2, copies).kept()
    return Kept(*(second - first for first, second in zip(one, two)))


def kept_on_gpu(model: MultiPass, image_size: int, copies: int, half: str = "") -> Kept:
    """Works out on a CPU what a GPU keeps; the model stays as it is.

    Args:
        model: with any operators and precision.
        image_size: in pixels.
        copies: of each image.
        half: level of mixed precision, Paddle's O1 or O2; empty: none. Tensors are then half as
            large, except for masks. In O1, the inputs of layer norms stay float32, and attention
            weights are kept in float32 for the softmax and in half precision for the products.
            ViT's attention weights are not kept at all, since attention is fused.
    """
    with changed([model], joined=True, _operators=plain), as_on_gpu():
        found = _Pass(model, image_size, 1, copies, counts_values=True)
    return found.in_half(half) if half else found.kept()


class _Pass:
    """A forward pass of blank images in training mode, and the bytes that it keeps.

    It drops what a block keeps as soon as the block is measured, so it needs little memory itself.

    Args:
        model: whose blocks are measured one by one.
        image_size: in pixels.
        images: in the batch.
        copies: of each image.
        counts_values: whether to count the values that `in_half` needs; compiled branches can't run
            then.
    """

    def __init__(
        self,
        model: MultiPass,
        image_size: int,
        images: int,
        copies: int,
        counts_values: bool = False,
    ):
        self.in_order = [*itertools.chain(*model.block_groups())]
        self.first: Tensor | None = None  # the first block's input: keeps what comes before alive
        self.blocks: list[int] = []  # bytes of each block
        # Bytes of the blocks' inputs; of the first block's input and the last one's output.
        self.boundaries, self.ends = 0, 0
        self.values = collections.Counter()  # that half precision treats in a special way, by kind
        gc.collect()
        layers = model.sublayers(include_self=True)
        norms = [layer for layer in layers if isinstance(layer, BATCH_NORMS)]
        with (
            changed(layers, training=True),
            changed(norms, training=False),
            changed([model], recomputed=False),
            replay()(),  # later random numbers come as without this pass
            watched(self.in_order, self._enter, self._leave),
            watched(layers[1:] if counts_values else (), after=self._count),
        ):
            before = _allocated()
            logits = model(paddle.zeros([images, 3, image_size, image_size]), copies=copies)
            self.left = _allocated() - before  # bytes that are still there, without the blocks
            del logits
        self.first = None

    def kept(self) -> Kept:
        """Returns what was kept."""
        outside = max(0, self.left - self.ends)
        whole = outside + sum(self.blocks)
        return Kept(whole, outside, self.boundaries, max(self.blocks, default=0))

    def in_half(self, level: str) -> Kept:
        """Returns what would be kept in mixed precision."""
        found, values = self.kept(), self.values
        size = (found.whole - values["masks"] - _FLOAT * values["fused"]) / 2 + values["masks"]
        boundaries = found.boundaries / 2
        if level == "O1":
            size += _HALF * (values["normed"] + values["dropped"]) + _FLOAT * values["weights"]
            boundaries = found.boundaries
        share = size / max(found.whole, 1)
        scaled = size, found.outside * share, boundaries, found.block * share
        return Kept(*map(round, scaled))

    def _enter(self, block: nn.Layer, inputs: tuple[Tensor, ...]) -> None:
        """Starts to measure a block."""
        size = 0 if inputs[0].stop_gradient else _bytes(inputs[0])
        if self.first is None:
            self.first = inputs[0]
            self.ends += size
        self.boundaries += size
        self.blocks.append(-_allocated())

    def _leave(self, block: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Notes what the block keeps, and lets it go."""
        kept = self.blocks.pop() + _allocated()
        self.blocks.append(0 if output.stop_gradient else kept)
        if block is self.in_order[-1] and not output.stop_gradient:
            self.ends += _bytes(output)
        passed_on = output.detach()
        passed_on.stop_gradient = output.stop_gradient
        return passed_on

    def _count(self, layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Counts values that half precision treats in a special way."""
        if output.stop_gradient:  # nothing is kept
            return
        if isinstance(layer, Dropout) and layer.active:
            self.values["masks"] += int(output.size)
        elif isinstance(layer, nn.LayerNorm):
            self.values["normed"] += int(output.size)
        elif isinstance(layer, ATTENTION):
            heads = getattr(layer, "heads", None) or layer.num_heads
            fused = "fused" if isinstance(layer, Attention) else "weights"
            kind = "dropped" if layer.attn_drop.rate else fused
            self.values[kind] += heads * output.shape[0] * output.shape[1] * inputs[0].shape[1]


def _bytes(tensor: Tensor) -> int:
    return int(tensor.size) * tensor.element_size()


def _allocated() -> int:
    """Returns the bytes of the tensors on this device."""
    if paddle.get_device() == "cpu":
        return core.host_memory_stat_current_value("Allocated", 0)
    return paddle.device.cuda.memory_allocated()
