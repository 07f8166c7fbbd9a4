"""Vision transformers: ViT and DeiT, plain and distilled, with the parts of published models.

Papers: Dosovitskiy et al., arXiv:2010.11929 (ViT); Touvron et al., arXiv:2012.12877 (DeiT); those
of the parts are in `models/families/parts.py`. The names of the parameters are those of timm and
PPIM, so their weights load by name. Changed from them: several passes of the same images run as one
batch (`models/multipass.py`).

Shapes: B images (times the copies, once they are split up), N tokens, D width, H heads, C classes.
"""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

from models.builders import Head, ImageSize
from models.families.parts import PLAIN, Parts
from models.families.rotary import Rotary, rotary
from models.families.vit_layers import (
    LayerScale,
    PatchEmbed,
    PreLogits,
    attention,
    linear,
    mlp,
    norm,
    normal,
)
from models.layers import Dropout, DropPath, DropRates, attention_branch, mlp_branch
from models.multipass import MultiPass


class Block(nn.Layer):
    """A pre-norm transformer block, `(B, N, D)` to `(B, N, D)`.

    With `queries`, it returns only the first tokens, `(B, queries, D)`. More are not needed of the
    last block where the head reads these tokens alone.
    """

    queries = 0

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        rates: DropRates,
        parts: Parts = PLAIN,
        positions: Rotary | None = None,
    ):
        super().__init__()
        self.activation = parts.activation
        self.norm1 = norm(width, parts)
        self.attn = attention(width, heads, rates, parts, positions)
        self.ls1 = LayerScale(width, parts.layer_scale)
        self.drop_path = DropPath(rates.path)
        self.norm2 = norm(width, parts)
        self.mlp = mlp(width, hidden, rates, parts)
        self.ls2 = LayerScale(width, parts.layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        queries, path = self.queries or x.shape[1], self.drop_path
        x = attention_branch(x, self.norm1, self.attn, path, queries, self.ls1.gamma)
        return mlp_branch(x, self.norm2, self.mlp, path, self.ls2.gamma, self.activation)


class VisionTransformer(MultiPass):
    """ViT and plain DeiT.

    Args:
        image_size: of the input, in pixels; multiples of `patch`.
        rates: drop probabilities.
        head: its classes, and `normal` (truncated, 0.02) or `zero` weights, as the ViT paper has
            them for fine-tuning.
        width: of the tokens.
        depth: number of blocks.
        heads: of the attention; they divide the width.
        mlp_ratio: hidden width of the MLP over the width.
        patch: side of a patch, in pixels.
        parts: what it has in addition to a plain ViT, or lacks.

    Raises:
        ValueError: when the image size is not a multiple of the patch, or the parts do not fit.
    """

    branches = True
    read_tokens = ("cls_token",)  # the tokens that heads read, unless they read a mean

    def __init__(
        self,
        image_size: ImageSize,
        rates: DropRates,
        head: Head,
        *,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        patch: int,
        parts: Parts = PLAIN,
    ):
        super().__init__()
        heads = parts.heads or heads
        if width % heads:
            raise ValueError(f"heads is {heads}, which does not divide the width {width}")
        self.parts, self.grid = parts, patch_grid(image_size, patch)
        self.patch_embed = PatchEmbed(patch, width, parts.patch_bias)
        self._add_tokens(width)
        self.pos_drop = Dropout(rates.embedding)
        self.norm_pre = norm(width, parts) if parts.norm_pre else nn.Identity()
        paths = [rates.path * i / max(depth - 1, 1) for i in range(depth)]
        hidden = int(width * mlp_ratio + 1e-6)  # the ratio may be rounded
        turned = rotary(parts, self.grid, width // heads, self.prefix)
        self.blocks = nn.LayerList(
            [Block(width, heads, hidden, rates._replace(path=one), parts, turned) for one in paths]
        )
        if parts.pool == "token":
            self.blocks[-1].queries = len(self.read_tokens)
        self._add_top(width, head)

    def _add_tokens(self, width: int) -> None:
        """Makes the special tokens and the position embedding."""
        parts = self.parts
        names = self.read_tokens if parts.class_token else ()
        for name in names:
            setattr(self, name, self.create_parameter([1, 1, width], attr=normal()))
        if parts.registers:
            self.reg_token = self.create_parameter([1, parts.registers, width], attr=normal(1e-6))
        self.special_tokens = (*names, *(["reg_token"] if parts.registers else []))
        self.prefix = len(names) + parts.registers
        self.special_places = self.prefix if parts.positions and parts.class_position else 0
        if parts.positions:
            places = self.special_places + self.grid[0] * self.grid[1]
            self.pos_embed = self.create_parameter([1, places, width], attr=normal())

    def _add_top(self, width: int, head: Head) -> None:
        """Makes what comes behind the blocks."""
        parts = self.parts
        before, behind = (parts.final_norm and parts.fc_norm == moved for moved in (False, True))
        self.norm = norm(width, parts) if before else nn.Identity()
        self.fc_norm = norm(width, parts) if behind else nn.Identity()
        self.pre_logits = PreLogits(width, parts.pre_logits) if parts.pre_logits else nn.Identity()
        self.head = self._new_head(width, head)

    def _new_head(self, width: int, head: Head) -> nn.Layer:
        return linear(self.parts.pre_logits or width, head.num_classes, zero=head.init == "zero")

    def block_groups(self) -> list[tuple[nn.Layer, ...]]:
        # Without `super()`, which a program of `paddle.jit` would take for that of the subclass.
        first = (self.pos_drop, self.norm_pre) if self.parts.norm_pre else (self.pos_drop,)
        return [first, *((block,) for block in self.blocks)]

    def embed(self, images: Tensor) -> Tensor:
        """Puts the special tokens before the patches and adds the positions: `(B, N, D)`."""
        patches = self.patch_embed(images)
        if self.parts.positions and not self.special_places:
            patches = patches + self.pos_embed
        shape = [patches.shape[0], -1, -1]
        tokens = [getattr(self, name).expand(shape) for name in self.special_tokens]
        x = paddle.concat([*tokens, patches], axis=1) if tokens else patches
        return x + self.pos_embed if self.special_places else x

    def pool(self, tokens: Tensor) -> Tensor:
        """Returns the class token, or the mean or maximum of tokens, as the head reads it."""
        normed, pool = self.norm(tokens), self.parts.pool
        pooled = normed[:, 0] if pool == "token" else self._pooled(normed)
        return self.below_head(pooled)

    def _pooled(self, x: Tensor) -> Tensor:
        """Takes mean or maximum of the tokens: `(B, N, D)` to `(B, D)`."""
        x = x if self.parts.pool_prefix else x[:, self.prefix :]
        mean = x.sum(axis=1) / x.shape[1]  # Paddle's own mean takes twice as long on a CPU
        if self.parts.pool == "avg":
            return mean
        largest = x.max(axis=1)
        return largest if self.parts.pool == "max" else 0.5 * (largest + mean)

    def below_head(self, pooled: Tensor) -> Tensor:
        """Computes what a head reads from what is pooled, `(B, D)`."""
        return self.pre_logits(self.fc_norm(pooled))


def patch_grid(image_size: ImageSize, patch: int) -> tuple[int, int]:
    """Returns height and width of an image in patches.

    Raises:
        ValueError: when the patches do not divide it.
    """
    sides = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    if len(sides) != 2 or any(side % patch or side < patch for side in sides):
        raise ValueError(
            f"image_size is {image_size}, expected a multiple of the patch size {patch}"
        )
    return sides[0] // patch, sides[1] // patch


class DistilledVisionTransformer(VisionTransformer):
    """Distilled DeiT: a second special token with a head of its own.

    `head.train` and `head.evaluate` choose the logits of training and evaluation:

    - `average` of the two heads, `(B, C)`, as in PPIM;
    - `each`, `(B, 2, C)`, for a loss on each head; in training only;
    - `class` or `distillation`, one head alone, `(B, C)`. In training the other head is frozen.

    An empty `head.evaluate` is the head that is trained, or the average if both are. A head that
    was never trained is noise in an average.
    """

    read_tokens = ("cls_token", "dist_token")
    heads = ("head", "head_dist")

    def __init__(self, image_size: ImageSize, rates: DropRates, head: Head, **shape):
        super().__init__(image_size, rates, head, **shape)
        if self.parts.pool != "token":
            raise ValueError(f"pool is {self.parts.pool}, but each head reads a token of its own")
        self.head_dist = self._new_head(shape["width"], head)
        self.train_head = head.train
        self.eval_head = head.evaluate or ("average" if head.train == "each" else head.train)
        frozen = {"class": "head_dist", "distillation": "head"}.get(head.train, "")
        for parameter in getattr(self, frozen).parameters() if frozen else ():
            parameter.stop_gradient = True  # else several cards would wait for its gradient
        self.unused_heads = (frozen,) if frozen and self.eval_head == head.train else ()

    def pool(self, tokens: Tensor) -> Tensor:
        """Returns what the two heads read, `(B, 2, D)`."""
        normed = self.norm(tokens)
        return paddle.stack([self.below_head(normed[:, place]) for place in range(2)], axis=1)

    def predict(self, pooled: Tensor) -> Tensor:
        """Computes logits `(B, C)`, or `(B, 2, C)` in training with `each`."""
        choice = self.train_head if self.training else self.eval_head
        if choice == "class":
            return self.head(pooled[:, 0])
        if choice == "distillation":
            return self.head_dist(pooled[:, 1])
        heads = self.head, self.head_dist
        each = [one(pooled[:, place]) for place, one in enumerate(heads)]
        both = paddle.stack(each, axis=1)
        return both if choice == "each" else both.mean(axis=1)
