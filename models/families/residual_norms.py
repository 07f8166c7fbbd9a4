"""Residual blocks that begin as the identity: the scale of each one's last batch norm is 0.

Source: Goyal et al., arXiv:1706.02677, section 5.1 (ResNet-50 with large batches), "zero gamma" in
He et al., arXiv:1812.01187. A block is what adds its input to a branch that ends with a batch norm.
That is each block of ResNet, RedNet and DLA (also DLA's roots, where they add their first input)
and of ReXNet where it adds its input, to as many of its channels as the input has.

HarDNet and CondenseNetV2 add nothing behind a batch norm, RepVGG adds its input through a batch
norm of its own, and LeViT begins this way by itself.
"""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.vision.models import resnet
from ppim.models import dla, rexnet


def last_norms(network: nn.Layer) -> list[nn.BatchNorm2D]:
    """Returns the last batch norm of each residual block, in the network's order."""
    found = (_last_norm(layer) for layer in network.sublayers())
    return [norm for norm in found if norm is not None]


def begin_as_identity(network: nn.Layer) -> None:
    """Sets the scale of the last batch norm of each residual block to 0.

    Raises:
        ValueError: for a network without such blocks.
    """
    norms = last_norms(network)
    if not norms:
        raise ValueError(
            "zero_gamma has no use: it has no residual blocks that end with a batch norm whose "
            "scale begins at 1, as ResNet, RedNet, DLA and ReXNet have"
        )
    for norm in norms:
        norm.weight.set_value(paddle.zeros_like(norm.weight))


def _last_norm(layer: nn.Layer) -> nn.BatchNorm2D | None:
    """Returns the last batch norm of a layer that is a residual block; None for another layer."""
    if isinstance(layer, (resnet.BottleneckBlock, dla.DlaBottleneck)):
        return layer.bn3
    if isinstance(layer, (resnet.BasicBlock, dla.DlaBasic)):
        return layer.bn2
    if isinstance(layer, dla.DlaRoot) and layer.residual:
        return layer.bn
    if isinstance(layer, rexnet.LinearBottleneck) and layer.use_shortcut:
        return layer.out[-1]
    return None
