"""Groups the parameters of a model by weight decay and by their share of the learning rate.

Layer-wise rates: Clark et al., arXiv:2003.10555, and Bao et al., arXiv:2106.08254 (BEiT); the
layers are timm's.
"""

from typing import NamedTuple

from ml_collections import ConfigDict
from paddle import Tensor, nn

import models

# Endings of the names of parameters that have no weight decay, though they are matrices.
_PLAIN = ("pos_embed", "_token", "relative_position_bias_table", "attention_biases")


class Group(NamedTuple):
    """Parameters with the same decay and the same share of the learning rate."""

    parameters: list[Tensor]
    weight_decay: float
    lr_scale: float


def parameter_groups(model: nn.Layer, optim: ConfigDict) -> list[Group]:
    """Returns the trainable parameters of a model by decay and rate.

    With `decay="matrices"` biases, norms, tokens and everything that stands for a position have no
    decay, as in timm.

    Args:
        model: its frozen parameters are left out.
        optim: the `optim` part of a config; `weight_decay`, `decay` and `layer_decay` are used.

    Returns:
        The groups with decay, then those without.

    Raises:
        UserError: for layer-wise rates of a model that has no layers.
    """
    layers = models.layer_numbers(model) if optim.layer_decay != 1 else {}
    head = max(layers.values(), default=0)
    members: dict[tuple[float, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.stop_gradient:
            plain = len(parameter.shape) <= 1 or name.endswith(_PLAIN)
            exempt = plain and optim.decay == "matrices"
            scale = optim.layer_decay ** (head - layers.get(name, head))
            members.setdefault((scale, exempt), []).append(parameter)
    ordered = sorted(members, key=lambda key: key[1])
    return [Group(members[key], 0.0 if key[1] else optim.weight_decay, key[0]) for key in ordered]
