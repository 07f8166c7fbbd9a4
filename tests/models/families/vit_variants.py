"""Small ViT with each part, alone and as published models combine them; and timm's words for them.

The weights are so far from their first values that every array matters.
"""

from __future__ import annotations

import numpy as np
import paddle

from models.builders import Head
from models.families.parts import PLAIN, Parts
from models.families.vit import DistilledVisionTransformer, VisionTransformer
from models.layers import DropRates

CLASSES, SIZE = 5, 32
SHAPE = {"width": 48, "depth": 3, "heads": 3, "mlp_ratio": 2.0, "patch": 8}
NOISE = DropRates(embedding=0.1, attention=0.2, projection=0.1, mlp=0.2, path=0.3)
SILENT = DropRates()
NO_CLASS = {"class_token": False, "pool": "avg"}

FIELDS = {
    "plain": {},
    "layer_scale": {"layer_scale": 0.3},
    "registers": {"registers": 3},
    "no class position": {"class_position": False},
    "norm_pre": {"norm_pre": True, "patch_bias": False, "norm_epsilon": 1e-5},
    "no bias": {"qkv_bias": False},
    "qk_norm": {"qk_norm": True},
    "quick_gelu": {"activation": "quick_gelu"},
    "gelu_tanh": {"activation": "gelu_tanh"},
    "silu": {"activation": "silu"},
    "swiglu": {"mlp": "swiglu"},
    "mean": {"pool": "avg"},
    "mean of all": {"pool": "avg", "pool_prefix": True, "registers": 1},
    "fc_norm": {"pool": "avg", "fc_norm": True},
    "no class token": NO_CLASS,
    "max": {"pool": "max"},
    "avgmax": {"pool": "avgmax", "fc_norm": True},
    "no norm": {"final_norm": False},
    "heads": {"heads": 6},
    "pre_logits": {"pre_logits": 20},
    "DINOv2": {"layer_scale": 0.3, "registers": 4, "class_position": False},
    "DINOv2 giant": {"layer_scale": 0.3, "mlp": "swiglu"},
    "CLIP": {
        "norm_pre": True,
        "patch_bias": False,
        "norm_epsilon": 1e-5,
        "activation": "quick_gelu",
    },
    "SigLIP": {**NO_CLASS, "activation": "gelu_tanh"},
    "rope": {"rope": "eva"},
    "rope_theta": {"rope": "dinov3", "rope_theta": 7.0, "qk_norm": True},
    "axial": {"rope": "axial", "positions": False, "layer_scale": 0.3},
    "no key bias": {"key_bias": False},
    "attention_norm": {"attention_norm": True},
    "mlp_norm": {"mlp": "swiglu", "mlp_norm": True},
    "DINOv3": {
        "layer_scale": 0.3,
        "registers": 4,
        "norm_epsilon": 1e-5,
        "positions": False,
        "rope": "dinov3",
        "key_bias": False,
        "pool": "avg",
    },
    "EVA-02": {
        "rope": "eva",
        "key_bias": False,
        "mlp": "swiglu",
        "mlp_norm": True,
        "attention_norm": True,
        "pool": "avg",
        "fc_norm": True,
    },
    "SBB": {**NO_CLASS, "layer_scale": 0.3, "registers": 2, "fc_norm": True, "qkv_bias": False},
}


def make(fields: dict, rates: DropRates = SILENT, distilled: bool = False) -> VisionTransformer:
    """Makes a small ViT with some parts."""
    paddle.seed(0)
    kind = DistilledVisionTransformer if distilled else VisionTransformer
    model = kind(SIZE, rates, Head(CLASSES), **SHAPE, parts=PLAIN.with_fields(fields))
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        noise = rng.normal(0, 0.1, parameter.shape).astype("float32")
        parameter.set_value(parameter + paddle.to_tensor(noise))
    return model


def images(count: int = 2, size: int = SIZE) -> np.ndarray:
    """Returns normalised images `(count, 3, size, size)`."""
    return np.random.default_rng(1).normal(size=(count, 3, size, size)).astype("float32")


def gradients(model, logits: paddle.Tensor) -> dict[str, np.ndarray]:
    """Returns the gradients of a weighted sum of the logits."""
    factors = np.random.default_rng(2).normal(size=logits.shape).astype("float32")
    (logits * paddle.to_tensor(factors)).sum().backward()
    found = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
    model.clear_gradients()
    return found


def agree(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float) -> None:
    """Checks arrays to a fraction of their own largest value, or of a thousandth of the largest."""
    assert found.keys() == expected.keys()
    largest = max(np.abs(values).max() for values in expected.values())
    for name, values in expected.items():
        scale = max(np.abs(values).max(), 1e-3 * largest)
        np.testing.assert_allclose(
            found[name], values, rtol=0, atol=tolerance * scale, err_msg=name
        )


def timm_fields(parts: Parts) -> dict:
    """Returns the arguments of timm's `VisionTransformer` for some parts.

    `heads` and `pre_logits` are left out: the first is an argument of the size, and timm 1.0.31 has
    none for the second.
    """
    from functools import partial

    from timm.layers import GluMlp
    from torch import nn

    fields = {
        "init_values": parts.layer_scale or None,
        "reg_tokens": parts.registers,
        "class_token": parts.class_token,
        "no_embed_class": not parts.class_position,
        "pre_norm": parts.norm_pre,
        "qkv_bias": parts.qkv_bias,
        "qk_norm": parts.qk_norm,
        "norm_layer": partial(nn.LayerNorm, eps=parts.norm_epsilon),
        "act_layer": parts.activation,
        "global_pool": parts.pool,
        "pool_include_prefix": parts.pool_prefix,
        "final_norm": parts.final_norm,
        "fc_norm": parts.fc_norm,
    }
    if parts.mlp == "swiglu":
        fields.update(act_layer=nn.SiLU, mlp_layer=partial(GluMlp, gate_last=False))
    return fields


_ROPES = {
    "eva": {"ref_feat_shape": (16, 16)},
    "dinov3": {"rope_type": "dinov3", "rope_temperature": 100.0, "rope_rotate_half": True},
    "axial": {"rope_temperature": 100.0, "rope_grid_indexing": "xy"},
}


def eva_fields(parts: Parts) -> dict:
    """Returns the arguments of timm's `Eva` for some parts; the MLP is half as wide for SwiGLU."""
    from functools import partial

    from timm.layers import LayerNorm

    gated = parts.mlp == "swiglu"
    fields = {
        "init_values": parts.layer_scale or None,
        "num_reg_tokens": parts.registers,
        "no_embed_class": not parts.class_position,
        "use_abs_pos_emb": parts.positions,
        "qkv_bias": parts.qkv_bias,
        "qkv_fused": not (parts.mlp_norm and not parts.key_bias),
        "attn_type": "rope" if parts.key_bias else "eva",
        "qk_norm": parts.qk_norm,
        "norm_layer": partial(LayerNorm, eps=parts.norm_epsilon),
        "mlp_ratio": 1.0 if gated else 2.0,
        "swiglu_mlp": gated,
        "swiglu_align_to": 8 if parts.rope == "dinov3" else 0,
        "scale_mlp": parts.mlp_norm,
        "scale_attn_inner": parts.attention_norm,
        "global_pool": parts.pool,
        "use_fc_norm": parts.fc_norm,
        "use_rot_pos_emb": bool(parts.rope),
        **_ROPES.get(parts.rope, {}),
    }
    return {**fields, **({"rope_temperature": parts.rope_theta} if parts.rope_theta else {})}
