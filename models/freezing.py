"""Freezes a part of a model: its weights, and the running statistics of its batch norms.

Sources: Touvron et al., arXiv:1906.06423 (FixRes: classifier and last norm are trained); Touvron et
al., arXiv:2203.09795 (attention layers alone). Noise stays on everywhere, so that R-Drop has
something to compare.
"""

import functools
from typing import NamedTuple

import numpy as np
import paddle
from paddle import nn

from common.errors import UserError
from models.layers import BATCH_NORMS, changed, random_layers, watched
from models.multipass import MultiPass

TRAINABLE = ("all", "head", "head_and_norm", "attention")
# Of the logits, where they are computed from features, relative to the largest.
_TOLERANCE = 1e-3
_NORMS = (*BATCH_NORMS, nn.LayerNorm, nn.GroupNorm)


def freeze(model: MultiPass, part: str, image_size: int) -> None:
    """Freezes all but one part of a model; what is frozen already stays so.

    Args:
        model: of `models.build`.
        part: that is trained: `all`, `head`, `head_and_norm` or `attention` (attention layers,
            position embeddings and the heads).
        image_size: of the input, in pixels. `head_and_norm` finds the last norm in a pass of one
            blank image.

    Raises:
        UserError: for `attention` of a model that has none.
    """
    if part == "all":
        return
    layers = _trained(model, part, image_size)
    trained = {id(parameter) for layer in layers for parameter in layer.parameters()}
    for name, parameter in model.named_parameters():
        kept = id(parameter) in trained or (part == "attention" and name.endswith("pos_embed"))
        parameter.stop_gradient = parameter.stop_gradient or not kept
    for layer in model.sublayers():
        frozen = all(parameter.stop_gradient for parameter in layer.parameters())
        if isinstance(layer, BATCH_NORMS) and frozen:
            # In training as in evaluation, the statistics are read and not updated.
            layer._use_global_stats = True


class FrozenPart(NamedTuple):
    """What the frozen part of a model puts out for an image, or why it must run in each step.

    Attributes:
        shape: of the output for one image; (): there is no such part.
        dtype: of the output; it is kept as float32.
        blocks: number of its blocks; -1: it is all that is in front of the heads.
        why_not: for people; empty when there is one.
    """

    shape: tuple[int, ...] = ()
    dtype: str = ""
    blocks: int = 0
    why_not: str = ""

    @property
    def bytes(self) -> int:
        """Bytes of the output for one image, as it is kept."""
        return int(np.prod(self.shape)) * np.dtype(np.float32).itemsize


def cut_frozen(model: MultiPass, image_size: int) -> FrozenPart:
    """Sets `model.cut` behind the longest part without noise in which nothing is trained.

    Its output for an image never changes.

    Args:
        model: after `freeze`; it stays in its mode.
        image_size: of the input, in pixels; one image passes.
    """
    groups, model.cut = model.block_groups(), model.longest_cut()
    if model.cut <= len(groups[0]):
        return FrozenPart(why_not=_why_no_part(model, groups))
    pixels = np.random.default_rng(0).standard_normal((1, 3, image_size, image_size), np.float32)
    image = paddle.to_tensor(pixels)
    with changed(model.sublayers(include_self=True), training=False):
        features, expected = model.features(image), model(image)
        found = model(features, cached=True)
    if not features.stop_gradient:
        return FrozenPart(why_not="something in front of the first block is trained")
    error, largest = (float(one.abs().max()) for one in (found - expected, expected))
    if error > _TOLERANCE * max(largest, 1.0):
        return FrozenPart(why_not="more than the classifier runs behind what the classifier reads")
    ends = np.cumsum([len(group) for group in groups])
    whole = model.cut > ends[-1]
    blocks = -1 if whole else int(np.searchsorted(ends, model.cut, side="right")) - 1
    dtype = str(features.dtype).rpartition(".")[2]
    return FrozenPart(tuple(features.shape[1:]), dtype, blocks)


def _why_no_part(model: MultiPass, groups: list[tuple[nn.Layer, ...]]) -> str:
    if len(groups) == 1:
        return "this network is one piece, with noise or trained layers in front of its classifier"
    noisy = [bool(random_layers(layer)) for layer in (*groups[0], *groups[1])]
    if any(noisy):
        return (
            "the embedding or the first block has noise, so every block differs in each step; "
            "rdrop.shared_blocks=K leaves the first K blocks without"
        )
    return "the first block is trained"


def _trained(model: MultiPass, part: str, image_size: int) -> list[nn.Layer]:
    """Returns the layers that are trained."""
    net = getattr(model, "net", model)  # of `models.families.cnn_levit_t2t.Whole`
    heads = [functools.reduce(getattr, name.split("."), net) for name in model.heads]
    if part == "head_and_norm":
        return heads + _last_norms(model, heads, image_size)
    if part == "head":
        return heads
    attention = [layer for layer in model.sublayers() if "Attention" in type(layer).__name__]
    if not attention:
        raise UserError("model.trainable=attention needs a model with attention layers")
    return heads + attention


@paddle.no_grad()
def _last_norms(model: MultiPass, heads: list[nn.Layer], image_size: int) -> list[nn.Layer]:
    """Returns the norm that runs last before each head; the order of sublayers does not show it."""
    layers, ran, last = model.sublayers(include_self=True), [], []
    norms = [layer for layer in layers if isinstance(layer, _NORMS)]
    with (
        changed(layers, training=False),
        watched(norms, after=lambda norm, *_: ran.append(norm)),
        watched(heads, before=lambda *_: last.append(ran[-1])),
    ):
        model(paddle.zeros([1, 3, image_size, image_size]))
    return last
