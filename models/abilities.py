"""What a model of the registry can do, by its family: known before the model is made."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from models.builders import Spec
from models.create import spec_of
from models.families.cait import CaiT
from models.families.cnn_levit_t2t import make_t2t
from models.families.parts import PLAIN
from models.families.swin import Swin
from models.registry import MODELS, SUGGESTED


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
    spec = spec_of(name)
    kind, shape = made_from(spec)
    made_of_blocks = spec.parts is not None or kind in (CaiT, Swin)
    return Abilities(
        patch=shape["patch"] if spec.parts is not None else 0,
        blocks=(shape.get("depth") or sum(shape["depths"])) if made_of_blocks else 0,
        attention_dropout=made_of_blocks or kind is make_t2t,
        batch_norms=not made_of_blocks,
    )


def vit_shapes() -> dict[str, dict]:
    """Returns the shapes of all ViT and DeiT by their names, ours first.

    Returns:
        `width`, `depth`, `heads`, `mlp_ratio`, `patch`; `parts`; `distilled`; `side`, the native
        one of the images, in pixels.
    """
    found = {}
    for name, spec in MODELS.items():
        if spec.parts is not None:
            shape = {**made_from(spec)[1], "parts": spec.parts}
            found[name] = {**shape, "distilled": spec.distilled, "side": spec.image_size}
    return found


def plain_shapes() -> dict[str, dict]:
    """Returns those of `vit_shapes` that have no further parts, each model by one name."""
    shapes = vit_shapes()
    plain = (name for name, shape in shapes.items() if shape["parts"] == PLAIN)
    return {name: shapes[name] for name in plain if name in SUGGESTED}


def made_from(spec: Spec) -> tuple[object, dict]:
    """Returns the class or function that makes a model, and its sizes."""
    make = spec.make
    return (make.func, dict(make.keywords)) if isinstance(make, partial) else (make, {})
