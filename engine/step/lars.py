"""LARS: You et al., "Large Batch Training of Convolutional Networks", arXiv:1708.03888.

The layer's own rate, and its decay, go into the gradient; momentum does the rest. As in timm's
`Lars`, and unlike the paper, parameters without decay (biases, norms) keep their gradient as it is.
"""

from __future__ import annotations

import paddle

from engine.step.parameter_groups import Group

_EPSILON = 1e-8


@paddle.no_grad()
def adapt(groups: list[Group], coefficient: float) -> None:
    """Turn each gradient g of a weight w into `ratio * (g + decay * w)`, in place.

    The ratio is `coefficient * |w| / (|g| + decay * |w|)`, and 1 where one of the norms is 0.
    """
    for group in groups:
        if not group.weight_decay:
            continue
        for weight in group.parameters:
            if weight.grad is None:
                continue
            w_norm, g_norm = weight.norm(), weight.grad.norm()
            ratio = coefficient * w_norm / (g_norm + group.weight_decay * w_norm + _EPSILON)
            ratio = paddle.where((w_norm > 0) & (g_norm > 0), ratio, paddle.ones_like(ratio))
            weight.grad.add_(group.weight_decay * weight).multiply_(ratio)
