"""Small models of every family, and timm's results for them: logits and gradients.

There are also logits at another input size. The weights are drawn by name from a generator that
numpy promises never to change. So the files hold only names, shapes and results. All weights are
perturbed, also biases and norms: if a loader loses one, the results differ. With torch and timm
installed (see docs/models.md), this makes the files again, or those of some families:

    PYTHONPATH=. python tests/models/golden.py [FAMILY...]
"""

from __future__ import annotations

import functools
import importlib
import json
import pickle
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.builders import Head
from models.families.parts import PLAIN
from models.layers.dropout import DropRates

FOLDER = Path(__file__).parent / "golden"
CLASSES, IMAGES = 5, 2


class Family(NamedTuple):
    """One small model: timm's class and ours with their arguments, and its input sizes in pixels.

    Swin has another window at the larger size, and no smaller size.
    """

    timm: str
    fields: dict
    ours: str
    our_fields: dict
    size: int = 32
    larger: int = 48
    smaller: int = 16
    larger_fields: dict = {}  # noqa: RUF012 (never changed)


_VIT = {"patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 3, "mlp_ratio": 2.0}
_OUR_VIT = {"width": 12, "depth": 2, "heads": 3, "mlp_ratio": 2.0, "patch": 8}
_EVA = {**_VIT, "embed_dim": 16, "num_heads": 2, "use_rot_pos_emb": True}
_OUR_EVA = {**_OUR_VIT, "width": 16, "heads": 2}


def _with(shape: dict = _OUR_VIT, **parts) -> dict:
    return {**shape, "parts": PLAIN.with_fields(parts)}


_CAIT = {"patch_size": 16, "embed_dim": 8, "depth": 2, "num_heads": 2}
_SWIN = {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 4), "window_size": 2}
FAMILIES = {
    "vit": Family("vision_transformer.VisionTransformer", _VIT, "vit.VisionTransformer", _OUR_VIT),
    "deit_distilled": Family(
        "deit.VisionTransformerDistilled", _VIT, "vit.DistilledVisionTransformer", _OUR_VIT
    ),
    "vit_clip": Family(
        "vision_transformer.VisionTransformer",
        {**_VIT, "pre_norm": True, "act_layer": "quick_gelu", "init_values": 0.1},
        "vit.VisionTransformer",
        _with(norm_pre=True, patch_bias=False, activation="quick_gelu", layer_scale=0.1),
    ),
    "vit_giant": Family(
        "vision_transformer.VisionTransformer",
        {**_VIT, "reg_tokens": 2, "no_embed_class": True, "mlp_layer": "SwiGLU", "qk_norm": True},
        "vit.VisionTransformer",
        _with(registers=2, class_position=False, mlp="swiglu", qk_norm=True),
    ),
    "vit_mean": Family(
        "vision_transformer.VisionTransformer",
        {
            **_VIT,
            "class_token": False,
            "reg_tokens": 1,
            "global_pool": "avg",
            "qkv_bias": False,
            "pool_include_prefix": True,
            "act_layer": "gelu_tanh",
        },
        "vit.VisionTransformer",
        _with(
            class_token=False,
            registers=1,
            pool="avg",
            fc_norm=True,
            qkv_bias=False,
            pool_prefix=True,
            activation="gelu_tanh",
        ),
    ),
    "dinov3": Family(
        "eva.Eva",
        {
            **_EVA,
            "rope_type": "dinov3",
            "rope_temperature": 100,
            "rope_rotate_half": True,
            "use_abs_pos_emb": False,
            "num_reg_tokens": 2,
            "init_values": 0.1,
            "use_fc_norm": False,
        },
        "vit.VisionTransformer",
        _with(
            _OUR_EVA,
            rope="dinov3",
            positions=False,
            registers=2,
            layer_scale=0.1,
            key_bias=False,
            pool="avg",
        ),
    ),
    "eva02": Family(
        "eva.Eva",
        {
            **_EVA,
            "ref_feat_shape": (16, 16),
            "qkv_fused": False,
            "swiglu_mlp": True,
            "scale_mlp": True,
            "scale_attn_inner": True,
        },
        "vit.VisionTransformer",
        _with(
            {**_OUR_EVA, "mlp_ratio": 4.0},
            rope="eva",
            key_bias=False,
            mlp="swiglu",
            mlp_norm=True,
            attention_norm=True,
            pool="avg",
            fc_norm=True,
        ),
    ),
    "cait": Family(
        "cait.Cait",
        {**_CAIT, "init_values": 0.1},
        "cait.CaiT",
        {**_CAIT, "init_scale": 0.1},
        size=64,
        larger=80,
        smaller=32,
    ),
    "swin": Family(
        "swin_transformer.SwinTransformer",
        {**_SWIN, "patch_size": 4},
        "swin.Swin",
        _SWIN,
        larger=96,
        smaller=0,
        larger_fields={"window_size": 3},
    ),
}


def ours(name: str, size: int = 0, **fields):
    """Makes our model of a family, without noise."""
    family = FAMILIES[name]
    module, _, kind = family.ours.partition(".")
    make = getattr(importlib.import_module(f"models.families.{module}"), kind)
    return make(size or family.size, DropRates(), Head(CLASSES), **{**family.our_fields, **fields})


def draw(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Draws weights by name, of a size that keeps activations of a small model near 1."""
    arrays = {}
    for place, (name, shape) in enumerate(sorted(shapes.items())):
        values = np.random.RandomState(place).standard_normal(shape).astype(np.float32)
        scale = 0.1 if len(shape) == 1 and "gamma" not in name else 0.3
        norm = name.endswith(".weight") and len(shape) == 1
        arrays[name] = values * np.float32(scale) + np.float32(norm)
    return arrays


def images(size: int) -> np.ndarray:
    """Returns normalised images `(IMAGES, 3, size, size)`."""
    return np.random.RandomState(1).standard_normal((IMAGES, 3, size, size)).astype(np.float32)


def cotangent() -> np.ndarray:
    """Returns the factors of the logits, whose sum is differentiated."""
    return np.random.RandomState(2).standard_normal((IMAGES, CLASSES)).astype(np.float32)


def read(family: str) -> tuple[dict[str, list[int]], dict[str, np.ndarray]]:
    """Reads the shapes of timm's parameters, and its results.

    The results are `logits` (also `larger_` and `smaller_`) and `gradient/NAME`.
    """
    with np.load(FOLDER / f"{family}.npz") as content:
        results = {name: content[name] for name in content.files}
    return json.loads(results.pop("shapes").item()), results


def _make(name: str, family: Family) -> None:
    import torch
    from timm.layers import GluMlp, resample_abs_pos_embed
    from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple

    module, _, kind = family.timm.partition(".")
    kind = getattr(importlib.import_module(f"timm.models.{module}"), kind)
    own = dict(family.fields)
    if own.get("mlp_layer") == "SwiGLU":
        own.update(mlp_layer=functools.partial(GluMlp, gate_last=False), act_layer="silu")

    def build(size: int, fields: dict, arrays: dict):
        model = kind(img_size=size, num_classes=CLASSES, **{**own, **fields})
        for key, parameter in model.named_parameters():
            array = torch.tensor(arrays[key]) if arrays else parameter
            if array.shape != parameter.shape and key == "pos_embed":
                side, special = (
                    size // family.fields["patch_size"],
                    {"cait": 0, "vit_giant": 0, "deit_distilled": 2}.get(name, 1),
                )
                array = resample_abs_pos_embed(array, [side, side], num_prefix_tokens=special)
            elif (
                array.shape != parameter.shape
            ):  # Swin's tables, bicubically as in its official code
                window = fields["window_size"]
                array = resize_rel_pos_bias_table_simple(array, (window, window), parameter.shape)
            parameter.data = array.detach().contiguous()
        return model.eval()

    shapes = {
        key: list(value.shape) for key, value in build(family.size, {}, {}).named_parameters()
    }
    arrays = draw(shapes)
    model = build(family.size, {}, arrays)
    logits = model(torch.tensor(images(family.size)))
    (logits * torch.tensor(cotangent())).sum().backward()
    results = {f"gradient/{key}": value.grad.numpy() for key, value in model.named_parameters()}
    results["logits"] = logits.detach().numpy()
    for kind_of_size, size in (("larger", family.larger), ("smaller", family.smaller)):
        if size:
            other = build(size, family.larger_fields, arrays)
            results[f"{kind_of_size}_logits"] = other(torch.tensor(images(size))).detach().numpy()
    np.savez_compressed(FOLDER / f"{name}.npz", shapes=np.array(json.dumps(shapes)), **results)


def _make_torch_files() -> None:
    import argparse

    import torch

    base = torch.arange(24, dtype=torch.float32)
    tensors = {
        "transposed": base.reshape(4, 6).t(),
        "part": base[5:9],
        "brain": base[:3].bfloat16(),
        "half": base[:2].half(),
        "count": torch.tensor(7),
        "parameter": torch.nn.Parameter(base.reshape(2, 3, 4)),
        "empty": torch.zeros(0, 2),
    }
    for kind, new in (("zip", True), ("legacy", False)):
        torch.save(tensors, FOLDER / f"{kind}.pth", _use_new_zipfile_serialization=new)
        state = {"model": {f"module.{key}": value for key, value in tensors.items()}, "epoch": 3}
        state.update(args=argparse.Namespace(lr=0.1), optimizer={"state": {0: {"exp_avg": base}}})
        torch.save(state, FOLDER / f"{kind}_state.pth", _use_new_zipfile_serialization=new)
    (FOLDER / "plain.pkl").write_bytes(pickle.dumps({"net": tensors, "epoch": 3}, 4))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for _name, _family in FAMILIES.items():
        if _name in (sys.argv[1:] or FAMILIES):
            _make(_name, _family)
    if not sys.argv[1:]:
        _make_torch_files()
