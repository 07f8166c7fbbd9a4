"""Vision transformers: ViT and DeiT, plain and distilled.

Papers: Dosovitskiy et al., arXiv:2010.11929 (ViT); Touvron et al., arXiv:2012.12877 (DeiT). The
names of the parameters are timm's and PPIM's, so their weights load by name. Changed from them:
several passes of the same images go through as one batch (`models/multipass.py`).

Shapes: B images (times the copies, once they are split up), N tokens, D width, H heads, C classes.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.functional.flash_attention import flash_attention

from models.families.grid_resizing import resize_positions
from models.layers.basic_layers import LayerNorm, Linear
from models.layers.dropout import Dropout, DropPath, DropRates
from models.layers.operators import attention_branch, fuses_attention, mlp_branch, replaceable
from models.multipass import MultiPass

EPSILON = (
    1e-6  # of every LayerNorm, as in the published weights; Paddle's default of 1e-5 loses accuracy
)


def _linear(inputs: int, outputs: int, std: float = 0.02) -> Linear:
    initializer = nn.initializer.TruncatedNormal(std=std) if std else nn.initializer.Constant(0.0)
    return Linear(inputs, outputs, weight_attr=paddle.ParamAttr(initializer=initializer))


@replaceable
class Attention(nn.Layer):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int, rates: DropRates):
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = _linear(width, 3 * width)
        self.attn_drop = Dropout(rates.attention, axis=1)
        self.proj = _linear(width, width)
        self.proj_drop = Dropout(rates.projection)

    def forward(self, x: Tensor, queries: int) -> Tensor:
        x = self.qkv(x)
        mixed = (
            self._fused(x, queries)
            if fuses_attention(x, self.attn_drop)
            else self._mixed(x, queries)
        )
        return self.proj_drop(self.proj(mixed))

    def _mixed(self, x: Tensor, queries: int) -> Tensor:
        sliced = _slices_heads(x)
        q, k, v = self._sliced(x) if sliced else self._transposed(x)  # (H, B, N, D/H)
        q = q[:, :, :queries]
        attention = F.softmax(
            paddle.matmul(q * self.scale, k, transpose_y=True), axis=-1
        )  # (H, B, queries, N)
        mixed = paddle.matmul(self.attn_drop(attention), v)  # (H, B, queries, D/H)
        if sliced:
            return paddle.concat(paddle.unbind(mixed), axis=-1)  # (B, queries, D)
        return mixed.transpose([1, 2, 0, 3]).flatten(2)

    def _sliced(self, x: Tensor) -> list[Tensor]:
        """Queries, keys and values of the heads, for Paddle's operators on a CPU.

        Those take several times as long for the usual form, most of all for its gradient.
        """
        heads = paddle.split(x, 3 * self.heads, axis=-1)  # 3H of (B, N, D/H)
        return [paddle.stack(heads[i * self.heads : (i + 1) * self.heads]) for i in range(3)]

    def _transposed(self, x: Tensor) -> list[Tensor]:
        """The same in the usual form, for GPUs and programs."""
        parts = x.reshape([-1, x.shape[1], 3, self.heads, x.shape[2] // (3 * self.heads)])
        parts = parts.transpose([2, 3, 0, 1, 4])  # (3, H, B, N, D/H)
        return [parts[i] for i in range(3)]  # programs take half as long again for `unbind`

    def _fused(self, x: Tensor, queries: int) -> Tensor:
        """The same by one kernel, which never writes the attention's weights (Dao et al.,
        arXiv:2205.14135).
        """
        q, k, v = x.reshape([*x.shape[:2], 3, self.heads, -1]).unbind(2)  # (B, N, H, D/H)
        return flash_attention(q[:, :queries].contiguous(), k.contiguous(), v.contiguous())[
            0
        ].flatten(2)


def _slices_heads(x: Tensor) -> bool:
    """Whether Paddle's operators on a CPU take it as it comes, not as part of a program."""
    return paddle.in_dynamic_mode() and x.place.is_cpu_place()


@replaceable
class Mlp(nn.Layer):
    """Two linear layers with GELU between, dropout behind each."""

    def __init__(self, width: int, hidden: int, rates: DropRates):
        super().__init__()
        self.fc1 = _linear(width, hidden)
        self.fc2 = _linear(hidden, width)
        self.drop = Dropout(rates.mlp)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class Block(nn.Layer):
    """A pre-norm transformer block, `(B, N, D)` to `(B, N, D)`.

    With `queries`, it gives only so many tokens, `(B, queries, D)`, which is all that is read of
    the last block.
    """

    queries = 0

    def __init__(self, width: int, heads: int, hidden: int, rates: DropRates):
        super().__init__()
        self.norm1 = LayerNorm(width, epsilon=EPSILON)
        self.attn = Attention(width, heads, rates)
        self.drop_path = DropPath(rates.path)
        self.norm2 = LayerNorm(width, epsilon=EPSILON)
        self.mlp = Mlp(width, hidden, rates)

    def forward(self, x: Tensor) -> Tensor:
        x = attention_branch(x, self.norm1, self.attn, self.drop_path, self.queries or x.shape[1])
        return mlp_branch(x, self.norm2, self.mlp, self.drop_path)


class PatchEmbed(nn.Layer):
    """Cut images into patches and project each: `(B, 3, S, S)` to `(B, (S / patch)^2, D)`."""

    def __init__(self, patch: int, width: int):
        super().__init__()
        std = (3 * patch * patch) ** -0.5
        initializer = nn.initializer.TruncatedNormal(std=std)
        attributes = {"weight_attr": paddle.ParamAttr(initializer=initializer), "bias_attr": True}
        self.proj = nn.Conv2D(3, width, patch, stride=patch, **attributes)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose([0, 2, 1])


class VisionTransformer(MultiPass):
    """ViT and plain DeiT.

    Args:
        image_size: of the input, in pixels: its side, or its height and width; multiples of
            `patch`.
        patch: side of a patch, in pixels.
        width: of the tokens.
        depth: number of blocks.
        heads: of the attention; they divide the width.
        mlp_ratio: hidden width of the MLP over the width.
        num_classes: of the head.
        rates: drop probabilities.
        head_init: `normal` (truncated, 0.02) or `zero`, as the ViT paper does for fine-tuning.

    Raises:
        ValueError: when the image size is not a multiple of the patch.
    """

    special_tokens = ("cls_token",)

    def __init__(
        self,
        image_size: int | tuple[int, int],
        patch: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        num_classes: int,
        rates: DropRates,
        head_init: str = "normal",
    ):
        super().__init__()
        self.grid = patch_grid(image_size, patch)
        tokens = self.grid[0] * self.grid[1] + len(self.special_tokens)
        self.patch_embed = PatchEmbed(patch, width)
        for name in self.special_tokens:
            setattr(self, name, self._token(1, width))
        self.pos_embed = self._token(tokens, width)
        self.pos_drop = Dropout(rates.embedding)
        path_rates = [rates.path * i / max(depth - 1, 1) for i in range(depth)]
        self.blocks = nn.LayerList(
            [
                Block(width, heads, int(width * mlp_ratio), rates._replace(path=rate))
                for rate in path_rates
            ]
        )
        self.blocks[-1].queries = len(self.special_tokens)
        self.norm = LayerNorm(width, epsilon=EPSILON)
        self.head = self._head(width, num_classes, head_init)

    def _token(self, count: int, width: int) -> Tensor:
        attributes = paddle.ParamAttr(initializer=nn.initializer.TruncatedNormal(std=0.02))
        return self.create_parameter([1, count, width], attr=attributes)

    @staticmethod
    def _head(width: int, num_classes: int, init: str) -> nn.Linear:
        return _linear(width, num_classes, std=0.0 if init == "zero" else 0.02)

    def refit(self, name: str, array: np.ndarray) -> np.ndarray:
        return (
            resize_positions(array, self.grid, len(self.special_tokens))
            if name == "pos_embed"
            else array
        )

    def embed(self, images: Tensor) -> Tensor:
        """Patches with the special tokens before them and their positions added: `(B, N, D)`."""
        patches = self.patch_embed(images)
        tokens = [
            getattr(self, name).expand([patches.shape[0], -1, -1]) for name in self.special_tokens
        ]
        return paddle.concat([*tokens, patches], axis=1) + self.pos_embed

    def stages(self) -> list[tuple[nn.Layer, ...]]:
        return [(self.pos_drop,), *((block,) for block in self.blocks)]

    def classify(self, tokens: Tensor) -> Tensor:
        """Logits `(B, C)` from the class token."""
        return self.head(self.norm(tokens)[:, 0])


def patch_grid(image_size: int | tuple[int, int], patch: int) -> tuple[int, int]:
    """Height and width of an image in patches.

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

    Args:
        train_head: which logits training is given: `average` of the two heads, as in PPIM, `(B,
            C)`; `each`, `(B, 2, C)`, for a loss on each; `class` or `distillation`, that head
            alone, `(B, C)`, the other one frozen.
        eval_head: which logits evaluation is given, `average`, `class` or `distillation`; empty:
            the one head that is trained, else the average. A head that was never trained is noise
            in an average.
    """

    special_tokens = ("cls_token", "dist_token")
    heads = ("head", "head_dist")

    def __init__(
        self,
        width: int,
        num_classes: int,
        head_init: str = "normal",
        train_head: str = "average",
        eval_head: str = "",
        **fields,
    ):
        super().__init__(width=width, num_classes=num_classes, head_init=head_init, **fields)
        self.head_dist = self._head(width, num_classes, head_init)
        self.train_head = train_head
        self.eval_head = eval_head or ("average" if train_head == "each" else train_head)
        unused = {"class": self.head_dist, "distillation": self.head}.get(train_head)
        for parameter in unused.parameters() if unused else ():
            parameter.stop_gradient = True  # else several cards would wait for its gradient

    def classify(self, tokens: Tensor) -> Tensor:
        """Logits `(B, C)`, or `(B, 2, C)` in training with `train_head="each"`."""
        choice, normed = self.train_head if self.training else self.eval_head, self.norm(tokens)
        if choice == "class":
            return self.head(normed[:, 0])
        if choice == "distillation":
            return self.head_dist(normed[:, 1])
        both = paddle.stack(
            [self.head(normed[:, 0]), self.head_dist(normed[:, 1])], axis=1
        )  # (B, 2, C)
        return both if choice == "each" else both.mean(axis=1)
