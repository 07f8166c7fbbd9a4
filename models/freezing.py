"""Freezes a part of a model: its weights, and the running statistics of its batch norms.

Sources: Touvron et al., arXiv:1906.06423 (FixRes: classifier and last norm are trained); Touvron et
al., arXiv:2203.09795 (attention layers alone). Noise stays on everywhere, so that R-Drop has
something to compare.
"""

import functools

import paddle
from paddle import nn

from common.errors import UserError
from models.layers import BATCH_NORMS, changed, watched
from models.multipass import MultiPass

TRAINABLE = ("all", "head", "head_and_norm", "attention")
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
