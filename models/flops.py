"""Counts the cost of one image: parameters, and multiply-adds in a real forward pass."""

from typing import NamedTuple

import paddle
from paddle import Tensor, nn
from ppim.models import levit, t2t, vit
from ppim.models.cait import Attention_talking_head, Class_Attention
from ppim.models.rednet import Involution
from ppim.models.swin import WindowAttention

from models.families.vit import Attention
from models.layers.temporary_changes import changed, watched

# Attention of all tokens (of a window) to each other.
ATTENTION = (Attention, Attention_talking_head, WindowAttention, vit.Attention)
# LeViT's N tokens attend to N_ tokens where that is another number.
_LEVIT = (levit.Attention, levit.AttentionSubsample)


class Cost(NamedTuple):
    """The cost of one image in one pass."""

    multiply_adds: int  # with the products of attention
    largest: int  # values of the largest output of a layer


def parameters(model: nn.Layer, trainable: bool = False) -> int:
    """Returns the number of parameters, or of those that are not frozen.

    The statistics of batch norms, which are parameters to Paddle, are left out.
    """
    return sum(
        int(parameter.size)
        for name, parameter in model.named_parameters()
        if not name.endswith(("._mean", "._variance"))
        and not (trainable and parameter.stop_gradient)
    )


def cost(model: nn.Layer, image_size: int) -> Cost:
    """Runs one blank image through the model in evaluation mode and counts.

    As in published counts, all tokens go through the last block, though only the class token is
    read behind it.
    """
    layers, counts, sizes = model.sublayers(include_self=True), [], []

    def count(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(_multiply_adds(layer, inputs[0], output))
        sizes.append(int(output.size))

    cut = [layer for layer in layers if getattr(layer, "queries", 0)]
    changes = changed(layers, training=False), changed(cut, queries=0)
    with changes[0], changes[1], watched(layers[1:], after=count), paddle.no_grad():
        model(paddle.zeros([1, 3, image_size, image_size]))
    return Cost(sum(counts), max(sizes))


def _multiply_adds(layer: nn.Layer, inputs: Tensor, output: Tensor) -> int:
    if isinstance(layer, nn.Linear):
        return int(output.size) * layer.weight.shape[0]
    if isinstance(layer, nn.Conv2D):
        return int(output.size) * int(layer.weight.size) // layer.weight.shape[0]
    if isinstance(layer, ATTENTION):  # N^2 D for the weights, and N^2 D for the mixing
        return 2 * inputs.shape[1] * int(inputs.size)
    if isinstance(layer, Class_Attention):  # one token attends to all
        return 2 * int(inputs.size)
    if isinstance(layer, t2t.Attention):
        return 2 * inputs.shape[1] * int(output.size)
    if isinstance(layer, t2t.Token_performer):
        # Random features of keys and of queries, their sum over tokens, and its use.
        return 4 * layer.m * int(output.size)
    if isinstance(layer, _LEVIT):
        return layer.num_heads * layer.N * getattr(layer, "N_", layer.N) * (layer.key_dim + layer.d)
    if isinstance(layer, Involution):
        return int(output.size) * layer.kernel_size**2
    return 0
