"""Layer-wise learning rates of LARS: You et al., arXiv:1708.03888.

The paper is "Large Batch Training of Convolutional Networks". The rate of a layer and its weight
decay are put into the gradient; the momentum optimiser does the rest. As in timm's `Lars`, and
unlike in the paper, parameters without decay (biases, norms) keep their gradient as it is.
"""

import paddle

from engine.step.parameter_groups import Group

_EPSILON = 1e-8


@paddle.no_grad()
def adapt(groups: list[Group], coefficient: float) -> None:
    """Changes each gradient g of a weight w to `ratio * (g + decay * w)`, in place.

    The ratio is `coefficient * |w| / (|g| + decay * |w|)`, and 1 where one of the norms is 0.

    Args:
        groups: the parameters of the model; those without decay are left as they are.
        coefficient: `optim.lars_coefficient`.
    """
    weights = ((weight, group.weight_decay) for group in groups for weight in group.parameters)
    for weight, decay in weights:
        if decay and weight.grad is not None:
            w_norm, g_norm = weight.norm(), weight.grad.norm()
            ratio = coefficient * w_norm / (g_norm + decay * w_norm + _EPSILON)
            ratio = paddle.where((w_norm > 0) & (g_norm > 0), ratio, paddle.ones_like(ratio))
            weight.grad.add_(decay * weight).multiply_(ratio)
