"""Training a part of a model: the rest keeps its weights and the running statistics of its batch
norms.

Sources: Touvron et al., arXiv:1906.06423 (FixRes: classifier and last norm); Touvron et al.,
arXiv:2203.09795 (attention layers alone). Noise stays on everywhere, so that R-Drop has something
to compare.
"""

from __future__ import annotations

import functools

import paddle
from paddle import nn

from common.errors import UserError
from models.layers.batch_norms import BATCH_NORMS
from models.multipass import MultiPass

TRAINABLE = ("all", "head", "head_and_norm", "attention")
_NORMS = (*BATCH_NORMS, nn.LayerNorm, nn.GroupNorm)


def freeze(model: MultiPass, part: str, image_size: int) -> None:
    """Leave the gradient to one part of a model; what is frozen already stays so.

    Args:
        model: of `models.build`.
        part: `all`, `head`, `head_and_norm` or `attention` (attention layers, position embeddings
            and the heads).
        image_size: of the input in pixels; `head_and_norm` looks for the last norm in a pass of one
            blank image.

    Raises:
        UserError: for `attention` of a model that has none.
    """
    if part == "all":
        return
    trained = {
        id(parameter)
        for layer in _layers(model, part, image_size)
        for parameter in layer.parameters()
    }
    for name, parameter in model.named_parameters():
        if id(parameter) not in trained and not (
            part == "attention" and name.endswith("pos_embed")
        ):
            parameter.stop_gradient = True
    for layer in model.sublayers():
        if not isinstance(layer, _NORMS) or not all(
            parameter.stop_gradient for parameter in layer.parameters()
        ):
            continue
        if isinstance(layer, BATCH_NORMS):
            layer._use_global_stats = (
                True  # in training as in evaluation: the statistics are read, not updated
            )


def _layers(model: MultiPass, part: str, image_size: int) -> list[nn.Layer]:
    """The layers that are trained."""
    heads = _heads(model)
    if part == "head_and_norm":
        return heads + _last_norms(model, heads, image_size)
    if part == "head":
        return heads
    attention = [layer for layer in model.sublayers() if "Attention" in type(layer).__name__]
    if not attention:
        raise UserError("model.trainable=attention needs a model with attention layers")
    return heads + attention


def _heads(model: MultiPass) -> list[nn.Layer]:
    net = getattr(model, "net", model)  # of `models.families.cnn_levit_t2t.Whole`
    return [functools.reduce(getattr, name.split("."), net) for name in model.heads]


@paddle.no_grad()
def _last_norms(model: MultiPass, heads: list[nn.Layer], image_size: int) -> list[nn.Layer]:
    """The norm that runs last before each head: the order in which layers are listed says nothing
    of it.
    """
    ran: list[nn.Layer] = []
    last: list[nn.Layer] = []
    hooks = [
        layer.register_forward_post_hook(lambda layer, *_: ran.append(layer))
        for layer in model.sublayers()
        if isinstance(layer, _NORMS)
    ]
    hooks += [head.register_forward_pre_hook(lambda *_: last.append(ran[-1])) for head in heads]
    training = model.training
    model.eval()
    model(paddle.zeros([1, 3, image_size, image_size]))
    if training:
        model.train()
    for hook in hooks:
        hook.remove()
    return last
