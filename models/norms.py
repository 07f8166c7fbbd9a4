"""Batch norms: the layers whose running statistics are not learned by gradient."""

from __future__ import annotations

from paddle import nn

_KINDS = (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)


def batch_norms(model: nn.Layer) -> list[nn.Layer]:
    """The batch norms of a model, in their order."""
    return [layer for layer in model.sublayers(include_self=True) if isinstance(layer, _KINDS)]
