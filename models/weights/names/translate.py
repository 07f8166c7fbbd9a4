"""Gives the arrays of any library timm's names; which library it is, is told by the names alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.weights.names.libraries import (
    google,
    hugging_face,
    mmpretrain,
    official_rdrop,
    open_clip,
    paddlevit,
    timm,
    timm_eva,
    torchvision,
)
from models.weights.names.lone_heads import name_head
from models.weights.names.refused import refuse
from models.weights.names.tables import Arrays, kind_of, prefix_of, translate

# The first whose anchors are there counts: those with more names of their own come first.
LIBRARIES = (
    google.VIT,
    official_rdrop.VIT,
    hugging_face.SWIN,
    hugging_face.SWIN_IN_MEMORY,
    *hugging_face.DINOV3S,
    hugging_face.VIT,
    hugging_face.CLIP,
    open_clip.CLIP,
    torchvision.VIT,
    torchvision.SWIN,
    paddlevit.VIT,
    paddlevit.SWIN,
    paddlevit.CAIT,
    paddlevit.OLD_DEIT,
    mmpretrain.VIT,
    mmpretrain.SWIN,
    timm.CAIT,
    timm_eva.DINOV3,
    *timm_eva.EVAS,
    timm.DEIT_III,
    timm_eva.BARE_EVA,
    timm.TIMM,
)
_TOKENS = ("cls_token", "dist_token", "reg_token", "register_tokens", "pos_embed")
_WIDE_HEAD = "the head, which takes the class token and the mean of the patches"


class Named(NamedTuple):
    """Arrays with timm's names, and what is known of their origin."""

    arrays: dict[str, np.ndarray]  # the layout of matrices stays as the library has it
    library: str  # for people; empty where the names are not known
    dropped: tuple[str, ...]  # arrays that were left out on purpose, by their names in the file
    said: tuple[str, ...]  # one short sentence each


def to_timm(arrays: Arrays, origin: str) -> Named:
    """Gives arrays timm's names, and joins what timm keeps as one array.

    Args:
        arrays: by their names in a file, of any library.
        origin: names the file in errors.

    Returns:
        The arrays and what happened to them; unchanged where no library is known by these names.

    Raises:
        UserError: when they are of a family that is not covered, when two become one, or when a
            part of a layer is missing.
    """
    refuse(arrays, origin)
    for library in LIBRARIES:
        prefix = prefix_of(library, arrays, origin)
        if prefix is not None:
            translated = translate(library, prefix, arrays, origin)
            found = _with_batch_axes(translated.arrays)
            said = [*translated.said, *_join_registers(found)]
            if library is timm_eva.DINOV3:
                timm_eva.drop_key_biases(found)
            wide = _drop_wide_head(found)
            said += [f"dropped {_WIDE_HEAD} ({len(wide)} arrays)"] if wide else []
            layers, of_head = name_head(found)
            said += of_head
            head = [translated.sources[name] for name in (*wide, *layers)]
            dropped = (*translated.dropped, *head)
            return Named(found, kind_of(library, arrays), dropped, tuple(said))
    return Named(arrays, "", (), ())


def _with_batch_axes(arrays: Arrays) -> Arrays:
    """Gives tokens and positions, `(D,)` and `(N, D)`, the axis of the batch: `(1, N, D)`."""
    found = dict(arrays)
    for name in _TOKENS:
        array = found.get(name)
        if array is not None and (array.ndim == 2 or (array.ndim == 1 and name != "pos_embed")):
            found[name] = array.reshape((1,) * (3 - array.ndim) + array.shape)
    return found


def _join_registers(arrays: Arrays) -> list[str]:
    """Turns DINOv2's registers into timm's: the place of the class token is added to that token.

    There the registers have no places, and the class token has one; in timm's form neither has.
    """
    if "register_tokens" not in arrays:
        return []
    arrays["reg_token"] = arrays.pop("register_tokens")
    token, places = arrays.get("cls_token"), arrays.get("pos_embed")
    if token is None or places is None or places.ndim != 3 or token.shape != places[:, :1].shape:
        return []
    arrays["cls_token"] = token.astype(np.float32) + places[:, :1].astype(np.float32)
    arrays["pos_embed"] = places[:, 1:]
    return ["added the position of the class token to that token"]


def _drop_wide_head(arrays: Arrays) -> list[str]:
    """Drops a head on twice the width, as DINOv2's; returns its names."""
    token, weight, bias = (arrays.get(name) for name in ("cls_token", "head.weight", "head.bias"))
    if token is None or weight is None or bias is None or token.ndim != 3 or weight.ndim != 2:
        return []
    if not weight.size or weight.size != 2 * token.shape[-1] * bias.size:
        return []
    return [name for name in ("head.weight", "head.bias") if arrays.pop(name, None) is not None]
