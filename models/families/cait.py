"""CaiT: PPIM's class, changed to run several passes of the same images as one batch.

Paper: Touvron et al., "Going deeper with Image Transformers", arXiv:2103.17239. PPIM's class
attention blocks, the last two, have no dropout. Its drop path has the same rate in each block, as
in the paper.
"""

import math

import paddle
from paddle import Tensor
from ppim.models import cait

from models.builders import Head, ImageSize
from models.families.vit import patch_grid
from models.families.vit_layers import PatchEmbed
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

replaceable(cait.Attention_talking_head)


class _Block(cait.LayerScale_Block):
    """PPIM's block, of which compiled branches may replace the layers."""

    def forward(self, x: Tensor) -> Tensor:
        if compiled := compiled_branches(x, *self.children()):
            x = compiled.talking_branch(x, self.norm1, self.attn, self.drop_path, self.gamma_1)
            return mlp_branch(x, self.norm2, self.mlp, self.drop_path, self.gamma_2)
        return super().forward(x)


class _Patches(PatchEmbed):
    """ViT's patches instead of PPIM's, which takes square images only."""

    def __init__(self, img_size: ImageSize, patch_size: int, in_chans: int, embed_dim: int):
        super().__init__(patch_size, embed_dim)
        self.grid = patch_grid(img_size, patch_size)
        self.num_patches = math.prod(self.grid)


class CaiT(MultiPass, cait.CaiT):
    """PPIM's CaiT with its names of parameters; `shape` has further arguments of PPIM's."""

    branches = True

    def __init__(self, image_size: ImageSize, rates: DropRates, head: Head, **shape):
        sizes = {"img_size": image_size, "class_dim": head.num_classes, **shape}
        super().__init__(drop_path_rate=rates.path, Patch_layer=_Patches, **sizes)
        self.grid = self.patch_embed.grid
        self.pos_drop = Dropout(rates.embedding)
        replace_dropout(self.blocks, rates)
        replace_layers(self, {cait.LayerScale_Block: _Block})

    def embed(self, images: Tensor) -> Tensor:
        return self.patch_embed(images) + self.pos_embed

    def pool(self, tokens: Tensor) -> Tensor:
        """Returns the class token, which meets the patches only here."""
        class_token = self.cls_token.expand([tokens.shape[0], -1, -1])  # (B, 1, D)
        for block in self.blocks_token_only:
            class_token = block(tokens, class_token)
        return self.norm(paddle.concat([class_token, tokens], axis=1))[:, 0]
