"""What one image costs: parameters and multiply-adds, counted in a real forward pass."""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn
from ppim.models import levit, t2t, vit
from ppim.models.cait import Attention_talking_head, Class_Attention
from ppim.models.rednet import Involution
from ppim.models.swin import WindowAttention

from models.families.vit import Attention

ATTENTION = (
    Attention,
    Attention_talking_head,
    WindowAttention,
    vit.Attention,
)  # of all tokens (of a window) with each other
_LEVIT = (levit.Attention, levit.AttentionSubsample)  # N tokens, of N_ where that is another number


class Cost(NamedTuple):
    """Per image and pass."""

    multiply_adds: int  # those of attention's products, too
    largest: int  # values of the largest output of a layer


def parameters(model: nn.Layer, trainable: bool = False) -> int:
    """Number of parameters, or of those that are not frozen; Paddle's also hold the statistics of
    batch norms.
    """
    found = (
        p for name, p in model.named_parameters() if not name.endswith(("._mean", "._variance"))
    )
    return sum(
        int(parameter.size) for parameter in found if not (trainable and parameter.stop_gradient)
    )


def cost(model: nn.Layer, image_size: int) -> Cost:
    """Run one blank image through the model in evaluation mode and count.

    As in published counts, all tokens go through the last block, though only the class token is
    read behind it.
    """
    multiply_adds, largest = 0, 0
    cut = {layer: layer.queries for layer in model.sublayers() if getattr(layer, "queries", 0)}
    for layer in cut:
        layer.queries = 0

    def count(layer: nn.Layer, inputs, output) -> None:
        nonlocal multiply_adds, largest
        multiply_adds += _multiply_adds(layer, inputs[0], output)
        largest = max(largest, int(output.size))

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
    return Cost(multiply_adds, largest)


def _multiply_adds(layer: nn.Layer, inputs, output) -> int:
    if isinstance(layer, nn.Linear):
        return int(output.size) * layer.weight.shape[0]
    if isinstance(layer, nn.Conv2D):
        return int(output.size) * int(layer.weight.size) // layer.weight.shape[0]
    if isinstance(layer, ATTENTION):
        return (
            2 * inputs.shape[1] * int(inputs.size)
        )  # N^2 D for the weights, and as many for the mixing
    if isinstance(layer, Class_Attention):
        return 2 * int(inputs.size)  # of one token with all
    if isinstance(layer, t2t.Attention):
        return 2 * inputs.shape[1] * int(output.size)
    if isinstance(layer, t2t.Token_performer):
        return (
            4 * layer.m * int(output.size)
        )  # random features of keys and queries, their sum over tokens and its use
    if isinstance(layer, _LEVIT):
        return layer.num_heads * layer.N * getattr(layer, "N_", layer.N) * (layer.key_dim + layer.d)
    if isinstance(layer, Involution):
        return int(output.size) * layer.kernel_size**2
    return 0
