"""The parts of a ViT that differ between published models, in addition to its size.

The definitions are those of timm 1.0.31's `VisionTransformer`. Papers: Touvron et al.,
arXiv:2103.17239 (LayerScale); Darcet et al., arXiv:2309.16588 (registers); Touvron et al.,
arXiv:2204.07118 (DeiT III: no place for the class token); Radford et al., arXiv:2103.00020 (CLIP: a
norm before the blocks, QuickGELU); Dehghani et al., arXiv:2302.05442 (norms of queries and keys);
Shazeer, arXiv:2002.05202 (SwiGLU); Fang et al., arXiv:2303.11331 (EVA-02: norms inside attention
and MLP, no bias of keys). Rotary positions are in `models/families/rotary.py`; they and the parts
of EVA-02 are those of timm's `Eva`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from common.errors import nearest

_CHOICES = {
    "activation": ("gelu", "quick_gelu", "gelu_tanh", "silu"),
    "mlp": ("plain", "swiglu"),
    "pool": ("token", "avg", "max", "avgmax"),
    "rope": ("", "eva", "dinov3", "axial"),
}


class Parts(NamedTuple):
    """What a ViT has in addition to a plain one, or lacks; the defaults are those of a plain ViT.

    Attributes:
        layer_scale: initial value of LayerScale; 0: there is none.
        registers: number of register tokens behind the class token.
        class_token: whether there is one.
        class_position: whether class and register tokens have places in the position embedding.
        norm_pre: whether a norm stands before the blocks.
        patch_bias: whether the projection of the patches has a bias.
        qkv_bias: whether the projection to queries, keys and values has a bias.
        qk_norm: whether the queries and the keys of each head are normalised.
        norm_epsilon: of all norms.
        activation: of the MLPs: `gelu`, `quick_gelu`, `gelu_tanh` or `silu`.
        mlp: `plain`; or `swiglu`, whose first layer has two halves, of which one gates the other.
        pool: what the head reads: the class `token`, or `avg`, `max` or both (`avgmax`) of tokens.
        pool_prefix: whether pooling also takes the class and register tokens.
        final_norm: whether there is a norm behind the blocks.
        fc_norm: whether that norm stands behind the pooling.
        pre_logits: width of a tanh layer below the head; 0: there is none.
        heads: of the attention; 0: as the model's name says.
        positions: whether there is a position embedding.
        rope: rotary positions of `eva` (EVA-02), `dinov3` or `axial` (RoPE-ViT); empty: none.
        rope_theta: the base of their periods; 0: that of the family.
        key_bias: whether the keys have a bias, where queries and values have one.
        attention_norm: whether a norm stands before the last layer of the attention.
        mlp_norm: whether a norm stands before the last layer of a SwiGLU.
    """

    layer_scale: float = 0.0
    registers: int = 0
    class_token: bool = True
    class_position: bool = True
    norm_pre: bool = False
    patch_bias: bool = True
    qkv_bias: bool = True
    qk_norm: bool = False
    norm_epsilon: float = 1e-6
    activation: str = "gelu"
    mlp: str = "plain"
    pool: str = "token"
    pool_prefix: bool = False
    final_norm: bool = True
    fc_norm: bool = False
    pre_logits: int = 0
    heads: int = 0
    positions: bool = True
    rope: str = ""
    rope_theta: float = 0.0
    key_bias: bool = True
    attention_norm: bool = False
    mlp_norm: bool = False

    def with_fields(self, fields: Mapping[str, Any]) -> Parts:
        """Returns the parts with some fields replaced.

        Raises:
            ValueError: when a field is not known, or its value is none that it can have.
        """
        for name, value in fields.items():
            if name not in self._fields:
                raise ValueError(f"has no part {name!r}{nearest(name, self._fields)}")
            _check(name, value)
        found = self._replace(**fields)
        if found.pool == "token" and not found.class_token:
            raise ValueError("pool is token, but class_token is off: set pool to avg")
        if not (found.positions or found.rope):
            raise ValueError("positions is off, and so is rope: set rope to eva or dinov3")
        if found.mlp_norm and found.mlp != "swiglu":
            raise ValueError("mlp_norm is on, but mlp is plain: set mlp to swiglu")
        return found

    def said(self) -> str:
        """Returns what differs from a plain ViT, as `name=value,...`; empty for a plain one."""
        pairs = zip(self._fields, self, PLAIN)
        return ",".join(f"{name}={own}" for name, own, usual in pairs if own != usual)


PLAIN = Parts()


def _check(name: str, value: object) -> None:
    """Checks the value of a field; raises a ValueError."""
    usual = Parts._field_defaults[name]
    if name in _CHOICES:
        choices = _CHOICES[name]
        right, expected = value in choices, f"one of {', '.join(filter(None, choices))}"
    elif isinstance(usual, bool):
        right, expected = isinstance(value, bool), "True or False"
    elif isinstance(usual, int):
        right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        expected = "a whole number, 0 or more"
    else:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        least = 1e-12 if name == "norm_epsilon" else 0.0
        right, expected = number and least <= value < math.inf, "a number, 0 or more"
    if not right:
        raise ValueError(f"{name} is {value!r}, expected {expected}")
