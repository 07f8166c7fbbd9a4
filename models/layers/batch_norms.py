"""Batch norms: the layers whose running statistics are not learned by gradient."""

from __future__ import annotations

from paddle import nn

BATCH_NORMS = (nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)


def batch_norms(model: nn.Layer) -> list[nn.Layer]:
    """The batch norms of a model whose running statistics change in training, in their order;
    frozen ones have none.
    """
    layers = model.sublayers(include_self=True)
    return [
        layer for layer in layers if isinstance(layer, BATCH_NORMS) and not layer._use_global_stats
    ]
