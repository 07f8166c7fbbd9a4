"""What one image costs: multiply-adds and bytes of activations, counted in a real forward pass."""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn
from ppim.models import levit, t2t, vit
from ppim.models.cait import Attention_talking_head, Class_Attention
from ppim.models.rednet import Involution
from ppim.models.swin import WindowAttention

from models.vit import Attention

_ATTENTION = (
    Attention,
    Attention_talking_head,
    WindowAttention,
    vit.Attention,
)  # of all tokens (of a window) with each other
_LEVIT = (levit.Attention, levit.AttentionSubsample)  # N tokens, of N_ where that is another number


class Cost(NamedTuple):
    """Per image and pass: multiply-adds (attention products included), and values that wait for the gradient.

    Nothing waits for it in front of the first layer that is trained.
    """

    multiply_adds: int
    activations: int
    boundaries: int  # of these values, those that one block hands to the next


# What a layer gives out is kept by it and by what follows (dropout, GELU, the residual sum). Measured on the CPU as the
# growth of the process's memory with the batch: 2.96 for ViT-B/16 at 384 with dropout 0.1, 3.1 for DeiT-Ti at 224.
_KEPT_PER_OUTPUT = 3


def parameters(model: nn.Layer, trainable: bool = False) -> int:
    """Number of parameters, or of those that are not frozen; Paddle's also hold the statistics of batch norms."""
    found = (p for name, p in model.named_parameters() if not name.endswith(("._mean", "._variance")))
    return sum(int(parameter.size) for parameter in found if not (trainable and parameter.stop_gradient))


def cost(model: nn.Layer, image_size: int) -> Cost:
    """Run one blank image through the model in evaluation mode and count.

    As in published counts, all tokens go through the last block, though only the class token is read behind it.
    """
    counted, trained = [0, 0, 0], False
    cut = {layer: layer.queries for layer in model.sublayers() if getattr(layer, "queries", 0)}
    for layer in cut:
        layer.queries = 0
    stages = {id(layer) for stage in model.stages() for layer in stage}

    def count(layer: nn.Layer, inputs, output) -> None:
        nonlocal trained
        counted[0] += _multiply_adds(layer, inputs[0], output)
        counted[1] += _values(layer, inputs, output)
        own = layer.parameters(include_sublayers=False)
        trained = trained or any(not parameter.stop_gradient for parameter in own)
        if own and not trained:
            counted[1] = 0
        elif id(layer) in stages and trained:
            counted[2] += int(output.size)

    hooks = [layer.register_forward_post_hook(count) for layer in model.sublayers()]
    training = model.training
    model.eval()
    with paddle.no_grad():
        model(paddle.zeros([1, 3, image_size, image_size]))
    if training:
        model.train()
    for hook in hooks:
        hook.remove()
    for layer, queries in cut.items():
        layer.queries = queries
    return Cost(*counted)


def _multiply_adds(layer: nn.Layer, inputs, output) -> int:
    if isinstance(layer, nn.Linear):
        return int(output.size) * layer.weight.shape[0]
    if isinstance(layer, nn.Conv2D):
        return int(output.size) * int(layer.weight.size) // layer.weight.shape[0]
    if isinstance(layer, _ATTENTION):
        return 2 * inputs.shape[1] * int(inputs.size)  # N^2 D for the weights, and as many for the mixing
    if isinstance(layer, Class_Attention):
        return 2 * int(inputs.size)  # of one token with all
    if isinstance(layer, t2t.Attention):
        return 2 * inputs.shape[1] * int(output.size)
    if isinstance(layer, t2t.Token_performer):
        return 4 * layer.m * int(output.size)  # random features of keys and queries, their sum over tokens and its use
    if isinstance(layer, _LEVIT):
        return layer.num_heads * layer.N * getattr(layer, "N_", layer.N) * (layer.key_dim + layer.d)
    if isinstance(layer, Involution):
        return int(output.size) * layer.kernel_size**2
    return 0


def _values(layer: nn.Layer, inputs, output) -> int:
    if isinstance(layer, (*_ATTENTION, t2t.Attention)):
        heads = layer.heads if isinstance(layer, Attention) else layer.num_heads
        weights = heads * output.shape[0] * output.shape[1] ** 2
        return weights * (3 if layer.attn_drop.rate else 1)  # with dropout also the mask and the product
    if isinstance(layer, _LEVIT):
        return layer.num_heads * layer.N * getattr(layer, "N_", layer.N)
    if layer.sublayers() or output is inputs[0]:  # made of others, or switched off
        return 0
    return _KEPT_PER_OUTPUT * int(output.size)
