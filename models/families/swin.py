"""Swin: PPIM's class, which runs several passes of the same images as one batch.

Paper: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
arXiv:2103.14030.
"""

from __future__ import annotations

import math
import re

import numpy as np
import paddle
from paddle import Tensor, nn
from ppim.models import swin

from models.families.grid_resizing import resize_bias_table
from models.layers import basic_layers
from models.layers.dropout import Dropout, DropRates, replace_dropout
from models.layers.operators import mlp_branch, compiled_branches, replaceable
from models.multipass import MultiPass

_TABLE = ".attn.relative_position_bias_table"
replaceable(swin.WindowAttention)


class _Block(swin.SwinTransformerBlock):
    """PPIM's, in which compiled branches may stand in for the layers."""

    def forward(self, x: Tensor) -> Tensor:
        if compiled := compiled_branches(x, self.norm1, self.attn, self.norm2, self.mlp, self.drop_path):
            x = compiled.window_branch(
                x, self.norm1, self.attn, self.drop_path, self._bias(), self._windows()
            )
            return mlp_branch(x, self.norm2, self.mlp, self.drop_path)
        return super().forward(x)

    def _windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each token of the windows is among all, and what is added to the scores in each
        window.
        """
        if not hasattr(self, "_order"):
            places = np.arange(np.prod(self.input_resolution)).reshape(self.input_resolution)
            side, (height, width) = self.window_size, self.input_resolution
            places = np.roll(places, (-self.shift_size, -self.shift_size), (0, 1))
            places = places.reshape(height // side, side, width // side, side)
            mask = (
                np.empty((0, side**2, side**2), np.float32)
                if self.attn_mask is None
                else self.attn_mask.numpy()
            )
            self._order = np.ascontiguousarray(places.transpose(0, 2, 1, 3)).reshape(-1), mask
        return self._order

    def _bias(self) -> Tensor:
        """Of the scores, `(H, L, L)`."""
        length = self.window_size**2
        rows = paddle.index_select(
            self.attn.relative_position_bias_table, self.attn.relative_position_index.flatten()
        )
        return rows.transpose([1, 0]).contiguous().reshape([-1, length, length])


class Swin(MultiPass, swin.SwinTransformer):
    """PPIM's Swin with its names of parameters; the other arguments are PPIM's."""

    derived = (".relative_position_index", ".attn_mask")

    def __init__(self, rates: DropRates, **fields):
        super().__init__(drop_path_rate=rates.path, **fields)
        self.pos_drop = Dropout(rates.embedding)
        replace_dropout(self.layers, rates)
        basic_layers.replace_layers(self, {swin.SwinTransformerBlock: _Block})
        for layer in self.layers.sublayers():
            for name, buffer in layer.named_buffers(include_sublayers=False):
                layer.register_buffer(
                    name, buffer, persistable=False
                )  # they follow from the shape: not in any file

    @staticmethod
    def timm_name(name: str) -> str:
        """timm merges patches at the beginning of a stage, not at the end of the one before."""
        name = re.sub(
            r"layers\.(\d)\.downsample",
            lambda found: f"layers.{int(found[1]) + 1}.downsample",
            name,
        )
        return name.replace("head.", "head.fc.")

    def refit(self, name: str, array: np.ndarray) -> np.ndarray:
        if not name.endswith(_TABLE):
            return array
        _, stage, _, block, *_ = name.split(".")
        return resize_bias_table(array, self.layers[int(stage)].blocks[int(block)].window_size)

    def check(self, arrays: dict[str, np.ndarray]) -> None:
        """Windows may be smaller in the last stages, where the image has no more; larger ones are
        another model's.
        """
        tables = [arrays[f"layers.{stage}.blocks.0{_TABLE}"] for stage in range(len(self.layers))]
        windows = [(math.isqrt(len(table)) + 1) // 2 for table in tables]
        if windows != sorted(windows, reverse=True):
            raise ValueError(
                f"its stages have windows of {windows}, which is not Swin's arrangement"
            )

    def embed(self, images: Tensor) -> Tensor:
        return self.patch_embed(images)

    def stages(self) -> list[tuple[nn.Layer, ...]]:
        """One entry for each block; the merging of patches goes with the last block before it."""
        stages = [(self.pos_drop,)]
        for layer in self.layers:
            stages += [(block,) for block in layer.blocks]
            if layer.downsample is not None:
                stages[-1] += (layer.downsample,)
        return stages

    def classify(self, tokens: Tensor) -> Tensor:
        """Logits `(B, C)` from the mean over all tokens."""
        return self.head(self.norm(tokens).mean(axis=1))
