"""Linear, layer norm and GELU layers on the operators of `models/layers/operators.py`."""

from __future__ import annotations

from paddle import Tensor, nn
from ppim.models import vit

from models.layers.operators import gelu, layer_norm, linear, replaceable

replaceable(nn.Softmax)
replaceable(vit.Mlp)


@replaceable
class Linear(nn.Linear):
    """`x @ weight + bias`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


@replaceable
class LayerNorm(nn.LayerNorm):
    """Layer norm over the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight, self.bias, self._epsilon)


@replaceable
class GELU(nn.GELU):
    """The exact GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x)


def replace_layers(
    layer: nn.Layer, others: dict[type[nn.Layer], type[nn.Layer]] | None = None
) -> None:
    """Replaces Paddle's layers below a layer by the ones of this file, with the same parameters.

    Args:
        layer: whose sublayers are replaced.
        others: further classes of layers and their replacements; the two classes may differ only in
            `forward`.
    """
    kinds = {nn.Linear: Linear, nn.LayerNorm: LayerNorm, nn.GELU: GELU, **(others or {})}
    for parent in layer.sublayers(include_self=True):
        for name, child in parent.named_children():
            if type(child) in kinds and not getattr(child, "_approximate", False):
                setattr(parent, name, _recast(child, kinds[type(child)]))


def _recast(layer: nn.Layer, kind: type[nn.Layer]) -> nn.Layer:
    """Returns a layer of another class with the same parameters, sublayers and fields."""
    other = kind.__new__(kind)
    other.__dict__.update(layer.__dict__)
    return other
