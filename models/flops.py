"""What one image costs: multiply-adds and bytes of activations, counted in a real forward pass."""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn

from models.vit import Attention


class Cost(NamedTuple):
    """Per image and pass: multiply-adds (attention products included), and float32 values that layers give out."""

    multiply_adds: int
    activations: int


def parameters(model: nn.Layer) -> int:
    """Number of parameters, frozen ones included."""
    return sum(int(parameter.size) for parameter in model.parameters())


def cost(model: nn.Layer, image_size: int) -> Cost:
    """Run one blank image through the model in evaluation mode and count."""
    counted = [0, 0]

    def count(layer: nn.Layer, inputs, output) -> None:
        counted[0] += _multiply_adds(layer, inputs[0], output)
        counted[1] += _values(layer, output)

    hooks = [layer.register_forward_post_hook(count) for layer in model.sublayers()]
    training = model.training
    model.eval()
    with paddle.no_grad():
        model(paddle.zeros([1, 3, image_size, image_size]))
    if training:
        model.train()
    for hook in hooks:
        hook.remove()
    return Cost(*counted)


def _multiply_adds(layer: nn.Layer, inputs, output) -> int:
    if isinstance(layer, nn.Linear):
        return int(output.size) * layer.weight.shape[0]
    if isinstance(layer, nn.Conv2D):
        return int(output.size) * int(layer.weight.size) // layer.weight.shape[0]
    if isinstance(layer, Attention):
        return 2 * inputs.shape[1] * int(inputs.size)  # N^2 D for the weights, and as many for the mixing
    return 0


def _values(layer: nn.Layer, output) -> int:
    if isinstance(layer, Attention):
        return 3 * layer.heads * output.shape[1] ** 2 * output.shape[0]  # scores, weights, dropped-out weights
    return 0 if layer.sublayers() else int(output.size)
