"""Paddle's layers on the operators of `models/layers/operators.py`."""

from __future__ import annotations

from paddle import Tensor, nn
from ppim.models import vit

from models.layers.operators import gelu, layer_norm, linear, standard

standard(nn.Softmax)
standard(vit.Mlp)


@standard
class Linear(nn.Linear):
    """`x @ weight + bias`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


@standard
class LayerNorm(nn.LayerNorm):
    """Layer norm over the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight, self.bias, self._epsilon)


@standard
class GELU(nn.GELU):
    """The exact GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x)


def adopt(layer: nn.Layer, others: dict[type[nn.Layer], type[nn.Layer]] | None = None) -> None:
    """Replace Paddle's layers below a layer by these, with the same parameters.

    Args:
        layer: whose sublayers are replaced.
        others: further classes of layers, and what replaces them: classes that differ in `forward`
            alone.
    """
    kinds = {nn.Linear: Linear, nn.LayerNorm: LayerNorm, nn.GELU: GELU, **(others or {})}
    for parent in layer.sublayers(include_self=True):
        for name, child in parent.named_children():
            if type(child) in kinds and not getattr(child, "_approximate", False):
                setattr(parent, name, _recast(child, kinds[type(child)]))


def _recast(layer: nn.Layer, kind: type[nn.Layer]) -> nn.Layer:
    """A layer of another class with the same parameters, sublayers and fields."""
    other = kind.__new__(kind)
    other.__dict__.update(layer.__dict__)
    return other
