"""What a model is made from: a spec for each name, and the head that a run asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Union

from models.families.parts import Parts
from models.input_images import InputStats
from models.multipass import MultiPass

ImageSize = Union[int, tuple[int, int]]  # pixels: one side, or height and width


class Head(NamedTuple):
    """The classifier of a model; see `models.create`."""

    num_classes: int = 1000
    init: str = "normal"
    train: str = "average"
    evaluate: str = ""


class Spec(NamedTuple):
    """One size of a model family, its native image size, and the input that its weights expect.

    `make` of a ViT takes the parts as a keyword, too.
    """

    make: Callable[..., MultiPass]  # takes image size, drop rates and head
    image_size: int  # pixels
    stats: InputStats
    distilled: bool = False  # whether it has a second head, for distillation
    unit: int = 0  # pixels: images must be squares with sides of a multiple of it; 0: any images
    parts: Parts | None = None  # of a ViT; None: another family
    timm: str = ""  # timm's name of the same ViT, where our own name is another
