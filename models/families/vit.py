"""Vision transformers: ViT and DeiT, plain and distilled.

Papers: Dosovitskiy et al., arXiv:2010.11929 (ViT); Touvron et al., arXiv:2012.12877 (DeiT). The
names of the parameters are those of timm and PPIM, so their weights load by name. Changed from
them: several passes of the same images run as one batch (`models/multipass.py`).

Shapes: B images (times the copies, once they are split up), N tokens, D width, H heads, C classes.
"""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.functional.flash_attention import flash_attention

from models.builders import Head, ImageSize
from models.layers import (
    Dropout,
    DropPath,
    DropRates,
    LayerNorm,
    Linear,
    attention_branch,
    fuses_attention,
    mlp_branch,
    replaceable,
)
from models.multipass import MultiPass

EPSILON = 1e-6  # of each LayerNorm, as in the published weights; Paddle's 1e-5 loses accuracy


def _normal(std: float = 0.02) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=nn.initializer.TruncatedNormal(std=std))


def _linear(inputs: int, outputs: int, zero: bool = False) -> Linear:
    zeros = paddle.ParamAttr(initializer=nn.initializer.Constant(0.0))
    return Linear(inputs, outputs, weight_attr=zeros if zero else _normal())


@replaceable
class Attention(nn.Layer):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int, rates: DropRates):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv = _linear(width, 3 * width)
        self.attn_drop = Dropout(rates.attention, axis=1)
        self.proj = _linear(width, width)
        self.proj_drop = Dropout(rates.projection)

    def forward(self, x: Tensor, queries: int) -> Tensor:
        x = self.qkv(x)
        attend = self._fused if fuses_attention(x, self.attn_drop) else self._mixed
        return self.proj_drop(self.proj(attend(x, queries)))

    def _mixed(self, x: Tensor, queries: int) -> Tensor:
        sliced = _slices_heads(x)
        q, k, v = self._sliced(x) if sliced else self._transposed(x)  # (H, B, N, D/H)
        scores = paddle.matmul(q[:, :, :queries] * self.scale, k, transpose_y=True)
        weights = F.softmax(scores, axis=-1)  # (H, B, queries, N)
        mixed = paddle.matmul(self.attn_drop(weights), v)  # (H, B, queries, D/H)
        if sliced:
            return paddle.concat(paddle.unbind(mixed), axis=-1)  # (B, queries, D)
        return mixed.transpose([1, 2, 0, 3]).flatten(2)

    def _sliced(self, x: Tensor) -> list[Tensor]:
        """Returns queries, keys and values of the heads, for Paddle's operators on a CPU.

        Those take several times as long for the usual form, most of all for its gradient.
        """
        heads = paddle.split(x, 3 * self.heads, axis=-1)  # 3H of (B, N, D/H)
        return [paddle.stack(heads[i * self.heads : (i + 1) * self.heads]) for i in range(3)]

    def _transposed(self, x: Tensor) -> list[Tensor]:
        """Returns the same in the usual form, for GPUs and compiled programs."""
        parts = x.reshape([-1, x.shape[1], 3, self.heads, x.shape[2] // (3 * self.heads)])
        parts = parts.transpose([2, 3, 0, 1, 4])  # (3, H, B, N, D/H)
        return [parts[i] for i in range(3)]  # with `unbind`, programs take half as long again

    def _fused(self, x: Tensor, queries: int) -> Tensor:
        """Attends by one kernel, which never writes the attention weights.

        Source: Dao et al., arXiv:2205.14135.
        """
        q, k, v = x.reshape([*x.shape[:2], 3, self.heads, -1]).unbind(2)  # (B, N, H, D/H)
        mixed, _ = flash_attention(q[:, :queries].contiguous(), k.contiguous(), v.contiguous())
        return mixed.flatten(2)


def _slices_heads(x: Tensor) -> bool:
    """Returns whether Paddle's CPU operators take `x` at once, not as part of a program."""
    return paddle.in_dynamic_mode() and x.place.is_cpu_place()


@replaceable
class Mlp(nn.Layer):
    """Two linear layers with GELU between them, and dropout behind each."""

    def __init__(self, width: int, hidden: int, rates: DropRates):
        super().__init__()
        self.fc1 = _linear(width, hidden)
        self.fc2 = _linear(hidden, width)
        self.drop = Dropout(rates.mlp)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class Block(nn.Layer):
    """A pre-norm transformer block, `(B, N, D)` to `(B, N, D)`.

    With `queries`, it returns only the first tokens, `(B, queries, D)`. More are not needed of the
    last block.
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
    """Cuts images into patches and projects each: `(B, 3, S, S)` to `(B, (S / patch)^2, D)`."""

    def __init__(self, patch: int, width: int):
        super().__init__()
        weight = _normal((3 * patch * patch) ** -0.5)
        self.proj = nn.Conv2D(3, width, patch, stride=patch, weight_attr=weight, bias_attr=True)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose([0, 2, 1])


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

    Raises:
        ValueError: when the image size is not a multiple of the patch.
    """

    special_tokens = ("cls_token",)

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
    ):
        super().__init__()
        self.grid = patch_grid(image_size, patch)
        tokens = self.grid[0] * self.grid[1] + len(self.special_tokens)
        self.patch_embed = PatchEmbed(patch, width)
        for name in self.special_tokens:
            setattr(self, name, self.create_parameter([1, 1, width], attr=_normal()))
        self.pos_embed = self.create_parameter([1, tokens, width], attr=_normal())
        self.pos_drop = Dropout(rates.embedding)
        paths = [rates.path * i / max(depth - 1, 1) for i in range(depth)]
        hidden = int(width * mlp_ratio)
        self.blocks = nn.LayerList(
            [Block(width, heads, hidden, rates._replace(path=path)) for path in paths]
        )
        self.blocks[-1].queries = len(self.special_tokens)
        self.norm = LayerNorm(width, epsilon=EPSILON)
        self.head = _linear(width, head.num_classes, zero=head.init == "zero")

    def embed(self, images: Tensor) -> Tensor:
        """Puts the special tokens before the patches and adds the positions: `(B, N, D)`."""
        patches = self.patch_embed(images)
        shape = [patches.shape[0], -1, -1]
        tokens = [getattr(self, name).expand(shape) for name in self.special_tokens]
        return paddle.concat([*tokens, patches], axis=1) + self.pos_embed

    def classify(self, tokens: Tensor) -> Tensor:
        """Computes logits `(B, C)` from the class token."""
        return self.head(self.norm(tokens)[:, 0])


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

    special_tokens = ("cls_token", "dist_token")
    heads = ("head", "head_dist")

    def __init__(self, image_size: ImageSize, rates: DropRates, head: Head, **shape):
        super().__init__(image_size, rates, head, **shape)
        self.head_dist = _linear(shape["width"], head.num_classes, zero=head.init == "zero")
        self.train_head = head.train
        self.eval_head = head.evaluate or ("average" if head.train == "each" else head.train)
        unused = {"class": self.head_dist, "distillation": self.head}.get(head.train)
        for parameter in unused.parameters() if unused else ():
            parameter.stop_gradient = True  # else several cards would wait for its gradient

    def classify(self, tokens: Tensor) -> Tensor:
        """Computes logits `(B, C)`, or `(B, 2, C)` in training with `each`."""
        choice, normed = self.train_head if self.training else self.eval_head, self.norm(tokens)
        if choice == "class":
            return self.head(normed[:, 0])
        if choice == "distillation":
            return self.head_dist(normed[:, 1])
        both = paddle.stack([self.head(normed[:, 0]), self.head_dist(normed[:, 1])], axis=1)
        return both if choice == "each" else both.mean(axis=1)
