"""Which parameters decay, and how fast each of them learns.

Layer-wise rates: Clark et al., arXiv:2003.10555, and Bao et al., arXiv:2106.08254 (BEiT); the
layers are timm's.
"""

from __future__ import annotations

from typing import NamedTuple

from paddle import Tensor, nn

import models

_PLAIN = (
    "pos_embed",
    "_token",
    "relative_position_bias_table",
    "attention_biases",
)  # endings of names


class Group(NamedTuple):
    """Parameters with the same decay, and with the same share of the learning rate."""

    parameters: list[Tensor]
    weight_decay: float
    lr_scale: float


def parameter_groups(model: nn.Layer, config) -> list[Group]:
    """The trainable parameters of a model by decay and rate.

    With `decay="matrices"` biases, norms, tokens and everything that stands for a position have
    none, as in timm.

    Args:
        model: of which frozen parameters are left out.
        config: the `optim` part of a config: `weight_decay`, `decay` and `layer_decay`.

    Raises:
        UserError: for rates by layer of a model that has none.
    """
    layers = models.layer_numbers(model) if config.layer_decay != 1 else {}
    head = max(layers.values(), default=0)
    members: dict[tuple[float, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.stop_gradient:
            continue
        exempt = config.decay == "matrices" and (len(parameter.shape) <= 1 or name.endswith(_PLAIN))
        scale = config.layer_decay ** (head - layers.get(name, head))
        members.setdefault((scale, exempt), []).append(parameter)
    ordered = sorted(members, key=lambda key: key[1])  # those with decay come first
    return [Group(members[key], 0.0 if key[1] else config.weight_decay, key[0]) for key in ordered]
