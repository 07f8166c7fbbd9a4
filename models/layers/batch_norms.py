"""Finds the batch norms of a model, whose running statistics no gradient changes."""

from paddle import nn

BATCH_NORMS = (nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)


def batch_norms(model: nn.Layer) -> list[nn.Layer]:
    """Returns the batch norms whose running statistics change in training, in the model's order.

    Frozen batch norms are left out: their statistics stay.
    """
    layers = model.sublayers(include_self=True)
    return [
        layer for layer in layers if isinstance(layer, BATCH_NORMS) and not layer._use_global_stats
    ]
