"""What a model of the registry can do, by its family: known before the model is made."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from models.builders import Spec
from models.create import spec_of
from models.families.cait import CaiT
from models.families.cnn_levit_t2t import make_t2t
from models.families.swin import Swin
from models.families.vit import DistilledVisionTransformer, VisionTransformer
from models.registry import MODELS

PLAIN = (VisionTransformer, DistilledVisionTransformer)  # ViT and DeiT


class Abilities(NamedTuple):
    """What can be asked of a model.

    Attributes:
        patch: side of a patch in pixels, where any multiple of it may be the image size (ViT,
            DeiT: position embeddings are resized); 0: images have the native size.
        blocks: how many blocks it is made of, which learning rates that fall layer by layer need;
            0: it is not made of blocks.
        attention_dropout: whether dropout of attention weights can be set.
        batch_norms: whether it may have batch norms, which count by micro-batch.
    """

    patch: int
    blocks: int
    attention_dropout: bool
    batch_norms: bool


def abilities(name: str) -> Abilities:
    """Returns what a model can do.

    Raises:
        UserError: when the model is not known.
    """
    kind, shape = _parts(spec_of(name))
    plain, made_of_blocks = kind in PLAIN, kind in (*PLAIN, CaiT, Swin)
    return Abilities(
        patch=shape["patch"] if plain else 0,
        blocks=(shape.get("depth") or sum(shape["depths"])) if made_of_blocks else 0,
        attention_dropout=made_of_blocks or kind is make_t2t,
        batch_norms=not made_of_blocks,
    )


def plain_shapes() -> dict[str, dict]:
    """Returns the shapes of all ViT and DeiT by their names.

    Returns:
        `width`, `depth`, `heads`, `mlp_ratio`, `patch`; `distilled`; `side`, the native one of the
        images, in pixels.
    """
    parts = {name: (*_parts(spec), spec) for name, spec in MODELS.items()}
    return {
        name: {**shape, "distilled": spec.distilled, "side": spec.image_size}
        for name, (kind, shape, spec) in parts.items()
        if kind in PLAIN
    }


def _parts(spec: Spec) -> tuple[object, dict]:
    """Returns what makes a model, and its sizes."""
    make = spec.make
    return (make.func, dict(make.keywords)) if isinstance(make, partial) else (make, {})
