"""Counts the cost of one image: parameters, and multiply-adds in a real forward pass."""

from functools import partial
from typing import NamedTuple

import paddle
from paddle import Tensor, nn
from ppim.models import levit, t2t, vit
from ppim.models.cait import Attention_talking_head, Class_Attention
from ppim.models.rednet import Involution
from ppim.models.swin import WindowAttention

from models.abilities import abilities
from models.builders import Head
from models.create import create, spec_of
from models.families.vit_layers import Attention
from models.layers import DropRates, changed, watched

# Attention of all tokens (of a window) to each other.
ATTENTION = (Attention, Attention_talking_head, WindowAttention, vit.Attention)

# Kinds of layers, and the multiply-adds of a layer with its input x and its output y.
_FORMULAS = (
    (nn.Linear, lambda layer, x, y: y.size * layer.weight.shape[0]),
    (nn.Conv2D, lambda layer, x, y: y.size * layer.weight.size // layer.weight.shape[0]),
    # N^2 D for the weights, and N^2 D for the mixing; one token of class attention attends to all.
    (ATTENTION, lambda layer, x, y: 2 * x.shape[1] * x.size),
    (Class_Attention, lambda layer, x, y: 2 * x.size),
    (t2t.Attention, lambda layer, x, y: 2 * x.shape[1] * y.size),
    # Random features of keys and of queries, their sum over tokens, and its use.
    (t2t.Token_performer, lambda layer, x, y: 4 * layer.m * y.size),
    (levit.Attention, lambda layer, x, y: layer.num_heads * layer.N**2 * (layer.key_dim + layer.d)),
    (
        levit.AttentionSubsample,
        lambda layer, x, y: layer.num_heads * layer.N * layer.N_ * (layer.key_dim + layer.d),
    ),
    (Involution, lambda layer, x, y: y.size * layer.kernel_size**2),
    (nn.Layer, lambda layer, x, y: 0),
)


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


def of_name(name: str) -> tuple[int, int]:
    """Counts the parameters and multiply-adds of a model at its own image size.

    A ViT is made with one and with two blocks: each further one adds the same. So one of a billion
    parameters needs little memory and time.

    Returns:
        Parameters, and multiply-adds of an image.
    """
    spec = spec_of(name)
    if spec.parts is None:
        return _counted(create(name), spec.image_size)
    make = partial(spec.make, spec.image_size, DropRates(), Head(), parts=spec.parts)
    one, two = (_counted(make(depth=depth), spec.image_size) for depth in (1, 2))
    more = abilities(name).blocks - 1
    return one[0] + more * (two[0] - one[0]), one[1] + more * (two[1] - one[1])


def _counted(model: nn.Layer, image_size: int) -> tuple[int, int]:
    return parameters(model), cost(model, image_size).multiply_adds


def cost(model: nn.Layer, image_size: int) -> Cost:
    """Runs one blank image through the model in evaluation mode and counts.

    As in published counts, all tokens go through the last block, though only the class token is
    read behind it.
    """
    layers, counts, sizes = model.sublayers(include_self=True), [], []

    def count(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        formula = next(formula for kinds, formula in _FORMULAS if isinstance(layer, kinds))
        counts.append(int(formula(layer, inputs[0], output)))
        sizes.append(int(output.size))

    cut = [layer for layer in layers if getattr(layer, "queries", 0)]
    with (
        changed(layers, training=False),
        changed(cut, queries=0),
        watched(layers[1:], after=count),
        paddle.no_grad(),
    ):
        model(paddle.zeros([1, 3, image_size, image_size]))
    return Cost(sum(counts), max(sizes))
