"""A spec says how to build one size of a model family, and which input its weights expect."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import paddle

from models.families.cait import CaiT
from models.families.cnn_levit_t2t import Whole
from models.families.swin import Swin
from models.families.vit import DistilledVisionTransformer, VisionTransformer
from models.input_images import InputStats
from models.layers.dropout import DropRates
from models.multipass import MultiPass


class Head(NamedTuple):
    """The classifier of a model; see `models.create`."""

    num_classes: int = 1000
    init: str = "normal"
    train: str = "average"
    evaluate: str = ""


class ViTSpec(NamedTuple):
    """One size of ViT, its native resolution and the input that its published weights expect."""

    width: int
    depth: int
    heads: int
    mlp_ratio: float
    patch: int
    image_size: int
    distilled: bool = False
    stats: InputStats = InputStats()

    def build(self, image_size: int | tuple[int, int], rates: DropRates, head: Head) -> MultiPass:
        """Make the model."""
        shape = {"patch": self.patch, "width": self.width, "depth": self.depth, "heads": self.heads}
        fields = {
            "mlp_ratio": self.mlp_ratio,
            "num_classes": head.num_classes,
            "rates": rates,
            "head_init": head.init,
        }
        if not self.distilled:
            return VisionTransformer(image_size=image_size, **shape, **fields)
        return DistilledVisionTransformer(
            image_size=image_size, train_head=head.train, eval_head=head.evaluate, **shape, **fields
        )


class CaiTSpec(NamedTuple):
    """One size of PPIM's CaiT; `init_scale` is the first value of LayerScale."""

    width: int
    depth: int
    heads: int
    init_scale: float
    image_size: int
    stats: InputStats
    distilled: bool = False

    def build(self, image_size: int | tuple[int, int], rates: DropRates, head: Head) -> MultiPass:
        """Make the model."""
        shape = {
            "embed_dim": self.width,
            "depth": self.depth,
            "num_heads": self.heads,
            "init_scale": self.init_scale,
        }
        return _with_head(
            CaiT(rates, img_size=image_size, class_dim=head.num_classes, **shape), head
        )


class SwinSpec(NamedTuple):
    """One size of PPIM's Swin."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    image_size: int
    stats: InputStats
    distilled: bool = False

    def build(self, image_size: int | tuple[int, int], rates: DropRates, head: Head) -> MultiPass:
        """Make the model."""
        unit = 4 * 2 ** (len(self.depths) - 1) * self.window
        if not isinstance(image_size, int) or image_size % unit:
            wanted = f"one side, a multiple of {unit} for windows of {self.window}"
            raise ValueError(f"image_size is {image_size}, expected {wanted}")
        shape = {
            "embed_dim": self.width,
            "depths": self.depths,
            "num_heads": self.heads,
            "window_size": self.window,
        }
        return _with_head(
            Swin(rates, img_size=image_size, class_dim=head.num_classes, **shape), head
        )


class NetSpec(NamedTuple):
    """A whole network: `make(image_size, rates, num_classes)` gives it, for images of a multiple of
    `unit` pixels.
    """

    make: Callable[[int, DropRates, int], Whole]
    unit: int
    image_size: int
    stats: InputStats
    distilled: bool = False

    def build(self, image_size: int, rates: DropRates, head: Head) -> MultiPass:
        """Make the model."""
        if not isinstance(image_size, int) or image_size % self.unit or image_size < 1:
            raise ValueError(
                f"image_size is {image_size}, expected one side, a multiple of {self.unit}"
            )
        return _with_head(self.make(image_size, rates, head.num_classes), head)


def _with_head(model: MultiPass, head: Head) -> MultiPass:
    if head.init == "zero":
        for name, parameter in model.state_dict().items():
            if name.startswith(tuple(f"{layer}." for layer in model.heads)):
                parameter.set_value(paddle.zeros_like(parameter))
    return model
