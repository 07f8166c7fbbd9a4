"""Swin: PPIM's class, which runs several passes of the same images as one batch.

Paper: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", arXiv:2103.14030.
"""

from __future__ import annotations

from paddle import Tensor, nn
from ppim.models import swin

from models.dropout import Dropout, DropRates, adopt
from models.multipass import MultiPass


class Swin(MultiPass, swin.SwinTransformer):
    """PPIM's Swin with its names of parameters; the other arguments are PPIM's."""

    def __init__(self, rates: DropRates, **fields):
        super().__init__(drop_path_rate=rates.path, **fields)
        self.pos_drop = Dropout(rates.embedding)
        adopt(self.layers, rates)

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
