"""Swin: PPIM's class, changed to run several passes of the same images as one batch.

Paper: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
arXiv:2103.14030.
"""

import math
import re

import numpy as np
import paddle
from paddle import Tensor, nn
from ppim.models import swin

from models.builders import Head, ImageSize
from models.layers import (
    Dropout,
    DropRates,
    compiled_branches,
    mlp_branch,
    replace_dropout,
    replace_layers,
    replaceable,
)
from models.multipass import MultiPass
from models.weights.grid_resizing import resize_bias_table

_TABLE = ".attn.relative_position_bias_table"
replaceable(swin.WindowAttention)


class _Block(swin.SwinTransformerBlock):
    """PPIM's block, of which compiled branches may replace the layers."""

    def forward(self, x: Tensor) -> Tensor:
        if compiled := compiled_branches(x, *self.children()):
            x = compiled.window_branch(
                x, self.norm1, self.attn, self.drop_path, self._bias(), self._windows()
            )
            return mlp_branch(x, self.norm2, self.mlp, self.drop_path)
        return super().forward(x)

    def _windows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the order of the tokens in windows, its inverse, and the mask of the scores."""
        if not hasattr(self, "_order"):
            side, (height, width) = self.window_size, self.input_resolution
            places = np.arange(height * width).reshape(height, width)
            shifted = np.roll(places, (-self.shift_size, -self.shift_size), (0, 1))
            windows = shifted.reshape(height // side, side, width // side, side)
            order = windows.transpose(0, 2, 1, 3).flatten()
            nothing = np.empty((0, side**2, side**2), np.float32)
            mask = nothing if self.attn_mask is None else self.attn_mask.numpy()
            self._order = order, np.argsort(order), mask
        return self._order

    def _bias(self) -> Tensor:
        """Returns the bias of the scores, `(H, L, L)`."""
        length = self.window_size**2
        rows = paddle.index_select(
            self.attn.relative_position_bias_table, self.attn.relative_position_index.flatten()
        )
        return rows.transpose([1, 0]).contiguous().reshape([-1, length, length])


class Swin(MultiPass, swin.SwinTransformer):
    """PPIM's Swin with its names of parameters; `shape` has further arguments of PPIM's.

    Raises:
        ValueError: when the windows do not divide the image in each stage.
    """

    branches = True
    derived = (".relative_position_index", ".attn_mask")

    def __init__(self, image_size: ImageSize, rates: DropRates, head: Head, **shape):
        window, patch = shape["window_size"], shape.get("patch_size", 4)
        unit = patch * 2 ** (len(shape["depths"]) - 1) * window
        if not isinstance(image_size, int) or image_size % unit:
            wanted = f"one side, a multiple of {unit} for windows of {window}"
            raise ValueError(f"image_size is {image_size}, expected {wanted}")
        sizes = {"img_size": image_size, "class_dim": head.num_classes, **shape}
        super().__init__(drop_path_rate=rates.path, **sizes)
        self.pos_drop = Dropout(rates.embedding)
        replace_dropout(self.layers, rates)
        replace_layers(self, {swin.SwinTransformerBlock: _Block})
        for layer in self.layers.sublayers():
            for name, buffer in layer.named_buffers(include_sublayers=False):
                # It follows from the shape, and is not in any file.
                layer.register_buffer(name, buffer, persistable=False)

    @staticmethod
    def timm_name(name: str) -> str:
        """Returns timm's name; timm merges patches where a stage begins, PPIM where one ends."""
        if found := re.match(r"layers\.(\d)\.downsample", name):
            name = f"layers.{int(found[1]) + 1}.downsample{name[found.end() :]}"
        return name.replace("head.", "head.fc.")

    def refit(self, name: str, array: np.ndarray) -> np.ndarray:
        if not name.endswith(_TABLE):
            return array
        _, stage, _, block, *_ = name.split(".")
        return resize_bias_table(array, self.layers[int(stage)].blocks[int(block)].window_size)

    def check(self, arrays: dict[str, np.ndarray]) -> None:
        """Checks that no window is larger than in the stage before.

        Windows may be smaller in the last stages, where the image has no more tokens. Larger ones
        are another model's.
        """
        tables = [arrays[f"layers.{stage}.blocks.0{_TABLE}"] for stage in range(len(self.layers))]
        windows = [(math.isqrt(len(table)) + 1) // 2 for table in tables]
        if windows != sorted(windows, reverse=True):
            raise ValueError(
                f"its stages have windows of {windows}, which is not Swin's arrangement"
            )

    def embed(self, images: Tensor) -> Tensor:
        return self.patch_embed(images)

    def block_groups(self) -> list[tuple[nn.Layer, ...]]:
        """Returns a group for each block; merging patches belongs to the last block before it."""
        groups = [(self.pos_drop,)]
        for layer in self.layers:
            groups += [(block,) for block in layer.blocks]
            if layer.downsample is not None:
                groups[-1] += (layer.downsample,)
        return groups

    def pool(self, tokens: Tensor) -> Tensor:
        """Returns the mean over all tokens."""
        return self.norm(tokens).mean(axis=1)
