"""What waits for the gradient: the memory that a forward pass leaves behind, as Paddle counts it in
a real one.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import NamedTuple

import paddle
from paddle import Tensor, nn
from paddle.base import core

from models.families.vit import Attention
from models.flops import ATTENTION
from models.layers import dropout
from models.layers.batch_norms import BATCH_NORMS
from models.layers.operators import plain
from models.multipass import MultiPass

_FLOAT, _HALF = 4, 2  # bytes


class Kept(NamedTuple):
    """Bytes of an image with all its copies, between its forward and its backward pass."""

    whole: int
    outside: int  # of these, what is not in any block
    boundaries: int  # what goes into the blocks through which a gradient comes back
    block: int  # the most that one of them keeps

    @property
    def recomputed(self) -> int:
        """What is kept at most where blocks run again in the backward pass, one after the other."""
        return self.outside + self.boundaries + self.block


def kept(model: MultiPass, image_size: int, copies: int) -> Kept:
    """Measure it for the device and the operators that the model has, in float32 or what it
    computes in.

    The model stays as it is, and random numbers come as without this.
    """
    one = _Pass(model).run(image_size, 1, copies)
    if paddle.get_device() == "cpu":
        return one.kept()
    two = _Pass(model).run(
        image_size, 2, copies
    )  # copies of the weights in half precision do not grow with the images
    return Kept(*(second - first for first, second in zip(one.kept(), two.kept())))


def kept_on_gpu(model: MultiPass, image_size: int, copies: int, half: str = "") -> Kept:
    """What a GPU keeps, worked out on a CPU.

    Args:
        model: of any operators and precision; it stays as it is.
        image_size: in pixels.
        copies: of each image.
        half: Paddle's level of mixed precision, O1 or O2; empty: none. Tensors are then half as
            large but for masks and, in O1, what goes into layer norms (which take float32) and
            attention weights (whose softmax does, and of which products take a copy). ViT's are not
            kept at all, since attention is fused.
    """
    before = model.joined, model._operators
    model.joined, model._operators = True, plain
    try:
        with dropout.as_on_gpu():
            found = _Pass(model, watched=True).run(image_size, 1, copies)
    finally:
        model.joined, model._operators = before
    return found.in_half(half) if half else found.kept()


class _Pass:
    """One forward pass in training mode, of which no more than one block is kept at a time.

    Args:
        model: whose blocks, as `stages` gives them, are told apart.
        watched: whether to add up what half precision leaves as it is; the compiled operators then
            can't be taken.
    """

    def __init__(self, model: MultiPass, watched: bool = False):
        self.model, self.watched = model, watched
        self.layers = [layer for stage in model.block_groups() for layer in stage]
        self.first: Tensor | None = (
            None  # what goes into the first of them: it holds what comes before
        )
        self.left, self.boundaries, self.ends = 0, 0, 0
        self.blocks: list[int] = []
        self.masks, self.normed, self.weights, self.dropped, self.fused = 0, 0, 0, 0, 0  # values

    def run(self, image_size: int, images: int, copies: int) -> _Pass:
        """Take made-up images through the model."""
        gc.collect()
        hooks = self._hooks()
        try:
            with _undisturbed(self.model):
                before = _allocated()
                logits = self.model(
                    paddle.zeros([images, 3, image_size, image_size]), copies=copies
                )
                self.left = _allocated() - before
                del logits
        finally:
            for hook in hooks:
                hook.remove()
            self.first = None
        return self

    def kept(self) -> Kept:
        outside = max(0, self.left - self.ends)
        return Kept(
            outside + sum(self.blocks), outside, self.boundaries, max(self.blocks, default=0)
        )

    def in_half(self, level: str) -> Kept:
        """What it would be in mixed precision."""
        found = self.kept()
        size = (found.whole - self.masks - _FLOAT * self.fused) / 2 + self.masks
        if level == "O1":
            size += _HALF * (self.normed + self.dropped) + _FLOAT * self.weights
        share = size / max(found.whole, 1)
        boundaries = found.boundaries if level == "O1" else found.boundaries / 2
        return Kept(
            round(size), round(found.outside * share), round(boundaries), round(found.block * share)
        )

    def _hooks(self) -> list:
        hooks = [layer.register_forward_pre_hook(self._enter) for layer in self.layers]
        hooks += [layer.register_forward_post_hook(self._leave) for layer in self.layers]
        if self.watched:
            hooks += [
                layer.register_forward_post_hook(self._watch) for layer in self.model.sublayers()
            ]
        return hooks

    def _enter(self, block: nn.Layer, inputs: tuple[Tensor, ...]) -> None:
        if self.first is None:
            self.first = inputs[0]
            self.ends += (
                0 if inputs[0].stop_gradient else _bytes(inputs[0])
            )  # it is among the boundaries
        if not inputs[0].stop_gradient:
            self.boundaries += _bytes(inputs[0])
        self.blocks.append(-_allocated())

    def _leave(self, block: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Take note of what the block keeps, and let it go."""
        kept = self.blocks.pop() + _allocated()
        self.blocks.append(0 if output.stop_gradient else kept)
        if block is self.layers[-1] and not output.stop_gradient:
            self.ends += _bytes(output)
        passed_on = output.detach()
        passed_on.stop_gradient = output.stop_gradient
        return passed_on

    def _watch(self, layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.stop_gradient:  # nothing is kept
            return
        if isinstance(layer, dropout.Dropout) and layer.active:
            self.masks += int(output.size)
        elif isinstance(layer, nn.LayerNorm):
            self.normed += int(output.size)
        elif isinstance(layer, ATTENTION):
            heads = getattr(layer, "heads", None) or layer.num_heads
            weights = heads * output.shape[0] * output.shape[1] * inputs[0].shape[1]
            if layer.attn_drop.rate:
                self.dropped += weights
            elif isinstance(layer, Attention):
                self.fused += weights
            else:
                self.weights += weights


def _bytes(tensor: Tensor) -> int:
    return int(tensor.size) * tensor.element_size()


def _allocated() -> int:
    """Bytes of the tensors on this device."""
    if paddle.get_device() == "cpu":
        return core.host_memory_stat_current_value("Allocated", 0)
    return paddle.device.cuda.memory_allocated()


@contextlib.contextmanager
def _undisturbed(model: MultiPass) -> Iterator[None]:
    """A context of a pass as in training that leaves nothing behind: no statistics, no mode, no
    random numbers.

    Blocks run once in it.
    """
    modes = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    state, recomputed = paddle.get_rng_state(), model.recomputed
    model.train()
    for layer, _ in modes:
        if isinstance(layer, BATCH_NORMS):
            layer.eval()
    model.recomputed = False
    try:
        yield
    finally:
        model.recomputed = recomputed
        paddle.set_rng_state(state)
        for layer, training in modes:
            layer.training = training
