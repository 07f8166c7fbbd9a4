"""Reads what the JSON files beside weights say of them: those of timm, Hugging Face and OpenCLIP.

What no array shows is there: the number of heads, the activation, the pooling, the epsilon of the
norms, the images that the weights expect, and the names of the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from common.errors import UserError
from common.reading import read_json
from models.families.timm_vits import TIMM_VITS
from models.weights.stated.image_settings import hugging_face_input, timm_input

_CONFIG, _OPEN_CLIP = "config.json", "open_clip_config.json"
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_LARGEST = 8 << 20  # bytes: the names of 21,841 classes twice take 2 MB
_MOST_CLASSES = 100_000
# Hugging Face's `hidden_act` and timm's `act_layer`: the names of activations here.
_ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "quickgelu": "quick_gelu",
    "swish": "silu",
}
# By Hugging Face's `model_type`: activation and epsilon where the file leaves them out.
_DEFAULTS = {
    "vit": ("gelu", 1e-12),
    "deit": ("gelu", 1e-12),
    "vit_mae": ("gelu", 1e-12),
    "vit_msn": ("gelu", 1e-6),
    "dinov2": ("gelu", 1e-6),
    "dinov2_with_registers": ("gelu", 1e-6),
    "dinov3_vit": ("gelu", 1e-5),
    "clip_vision_model": ("quick_gelu", 1e-5),
    "swin": ("gelu", 1e-5),
}
_THETA = 100.0  # of DINOv3: the base of its rotary positions
# timm's arguments of VisionTransformer: our parts.
_TIMM_PARTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "global_pool": ("pool", str),
    "act_layer": ("activation", lambda name: _activation(str(name))),
    "num_heads": ("heads", int),
    "fc_norm": ("fc_norm", bool),
    "final_norm": ("final_norm", bool),
    "pool_include_prefix": ("pool_prefix", bool),
    "reg_tokens": ("registers", int),
    "class_token": ("class_token", bool),
    "no_embed_class": ("class_position", lambda value: not value),
    "pre_norm": ("norm_pre", bool),
    "qkv_bias": ("qkv_bias", bool),
    "qk_norm": ("qk_norm", bool),
    # of Eva
    "use_fc_norm": ("fc_norm", bool),
    "num_reg_tokens": ("registers", int),
    "use_abs_pos_emb": ("positions", bool),
}


class Description(NamedTuple):
    """What files beside weights say; empty or 0 where they say nothing."""

    origin: str = ""  # the name of the file that says it
    architecture: str = ""  # timm's name of the model
    family: str = ""  # Hugging Face's `model_type`
    width: int = 0  # of the tokens, to see whether the file belongs to the weights
    sides: tuple[int, int] = (0, 0)  # height and width of the images, in pixels
    parts: Mapping[str, Any] = MappingProxyType({})  # fields of `models.families.parts.Parts`
    classes: tuple[str, ...] = ()  # names of the classes
    input: dict[str, Any] | None = None  # fields of `InputStats`


def describe(path: Path) -> Description:
    """Reads what is said beside a weights file, or in a folder of weights.

    Args:
        path: of the file or the folder.

    Returns:
        What is said; an empty description where nothing is.

    Raises:
        UserError: when a config of timm, Hugging Face or OpenCLIP is damaged.
    """
    folder = path if path.is_dir() else path.parent
    config = folder / _CONFIG
    if not config.is_file() and (folder / _OPEN_CLIP).is_file():
        config = folder / _OPEN_CLIP
    content = read_json(config, _LARGEST) if config.is_file() else {}
    if not isinstance(content, dict):
        raise UserError(f"{config}: is not readable as a config.json of weights; move it away")
    try:
        if "model_cfg" in content:
            found = _of_open_clip(content, config)
        else:
            found = _of_timm(content, config) if _is_timm(content) else _of_hugging_face(content)
        return found._replace(input=found.input or _processor_input(folder))
    except (
        KeyError,
        AttributeError,
        TypeError,
        ValueError,
        OverflowError,
        ZeroDivisionError,
    ) as error:
        raise UserError(
            f"{config}: is not readable as a config.json of weights ({error}); move it away to go "
            "without"
        ) from None


def _is_timm(content: dict[str, Any]) -> bool:
    return bool({"pretrained_cfg", "crop_pct"} & set(content)) or (
        "architecture" in content and "model_type" not in content
    )


def _of_timm(content: dict[str, Any], path: Path) -> Description:
    stated = content.get("pretrained_cfg", content)
    architecture = str(content.get("architecture", stated.get("architecture", "")))
    width = int(content.get("num_features", 0))
    given = {**dict(content.get("model_args") or {})}
    if "global_pool" in content:
        given.setdefault("global_pool", content["global_pool"])
    parts = {
        ours: convert(given[theirs])
        for theirs, (ours, convert) in _TIMM_PARTS.items()
        if given.get(theirs) is not None
    }
    if given.get("init_values") is not None:
        parts["layer_scale"] = float(given["init_values"])
    return Description(
        path.name,
        architecture=architecture,
        width=width,
        sides=_sides(given.get("img_size") or stated.get("input_size")),
        parts={**_of_architecture(architecture, width), **parts},
        classes=tuple(map(str, content.get("label_names", ())[:_MOST_CLASSES])),
        input=timm_input(stated, path),
    )


def _of_architecture(name: str, width: int) -> dict[str, Any]:
    """Returns the parts that timm's name of a model tells, and no array.

    GELU is not told: weights that need QuickGELU are also kept by the name without it.
    """
    known = TIMM_VITS.get(name.partition(".")[0])
    if known is None:
        return {}
    heads = {"heads": known.shape["heads"]} if known.shape["width"] == width else {}
    usual = known.parts.activation == "gelu"
    return {**heads, **({} if usual else {"activation": known.parts.activation})}


def _sides(size: Any) -> tuple[int, int]:
    """Returns height and width of a size in one of its forms; (0, 0) where it is not known."""
    sides = [size, size] if isinstance(size, int) else list(size or ())[-2:]
    known = len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides)
    return (sides[0], sides[1]) if known else (0, 0)


def _of_open_clip(content: dict[str, Any], path: Path) -> Description:
    """Reads the `open_clip_config.json` of OpenCLIP."""
    model = content["model_cfg"]
    vision = model["vision_cfg"]
    if not isinstance(vision.get("width"), int):  # the name of a model of timm
        return Description(path.name, input=timm_input(content.get("preprocess_cfg") or {}, path))
    width = vision["width"]
    parts = {
        "activation": "quick_gelu" if model.get("quick_gelu") else "gelu",
        "heads": width // int(vision.get("head_width", 64)),
    }
    return Description(
        path.name,
        width=width,
        sides=_sides(vision.get("image_size")),
        parts=parts,
        input=timm_input(content.get("preprocess_cfg") or {}, path),
    )


def _of_hugging_face(content: dict[str, Any]) -> Description:
    """Reads a config of transformers; one of something else says nothing."""
    if content.get("model_type") == "clip":
        content = {"model_type": "clip_vision_model", **(content.get("vision_config") or {})}
    family = content.get("model_type")
    if not isinstance(family, str):
        return Description()
    parts: dict[str, Any] = {}
    if family in _DEFAULTS:
        activation, epsilon = _DEFAULTS[family]
        parts["activation"] = _activation(str(content.get("hidden_act", activation)))
        parts["norm_epsilon"] = float(content.get("layer_norm_eps", epsilon))
    if family == "dinov3_vit":
        parts = _of_dinov3(content, parts)
    heads = content.get("num_attention_heads", 0)
    if isinstance(heads, int) and heads:
        parts["heads"] = heads
    names = content.get("id2label") or {}
    return Description(
        _CONFIG,
        family=family,
        width=int(content.get("embed_dim" if family == "swin" else "hidden_size", 0)),
        sides=_sides(content.get("image_size")),
        parts=parts,
        classes=_class_names(names) if isinstance(names, dict) else (),
    )


def _of_dinov3(content: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parts of a DINOv3; the activation of a gated MLP is none of them.

    Raises:
        ValueError: for what is not covered.
    """
    theta = float(content.get("rope_theta") or _THETA)
    found = {**parts, **({} if theta == _THETA else {"rope_theta": theta})}
    if not content.get("use_gated_mlp"):
        return found
    if found.pop("activation") != "silu":
        raise ValueError("use_gated_mlp needs hidden_act=silu here")
    return found


def _class_names(names: dict[str, Any]) -> tuple[str, ...]:
    """Returns the names of `id2label` in order; () where they are no names (`LABEL_0`)."""
    ordered = [names.get(str(number)) for number in range(min(len(names), _MOST_CLASSES))]
    known = all(isinstance(name, str) for name in ordered)
    made_up = all(name == f"LABEL_{number}" for number, name in enumerate(ordered))
    return tuple(map(str, ordered)) if known and not made_up else ()


def _activation(name: str) -> str:
    return _ACTIVATIONS.get(name, name)


def _processor_input(folder: Path) -> dict[str, Any] | None:
    for name in _PROCESSORS:
        if (folder / name).is_file():
            return hugging_face_input(read_json(folder / name), folder / name)
    return None
