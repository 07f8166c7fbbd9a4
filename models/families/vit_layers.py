"""The layers of ViT's blocks: attention, MLPs, LayerScale; and the cutting into patches.

Shapes: B images (times the copies, once they are split up), N tokens, D width, H heads.
"""

from __future__ import annotations

from functools import partial

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.functional.flash_attention import flash_attention

from models.families.parts import Parts
from models.families.rotary import Rotary
from models.layers import Dropout, DropRates, LayerNorm, Linear, fuses_attention, replaceable

ACTIVATIONS = {
    "gelu": F.gelu,
    "quick_gelu": lambda x: x * F.sigmoid(1.702 * x),
    "gelu_tanh": partial(F.gelu, approximate=True),
    "silu": F.silu,
}


def normal(std: float = 0.02) -> paddle.ParamAttr:
    """Returns the initialisation by a normal distribution that is cut off at two deviations."""
    return paddle.ParamAttr(initializer=nn.initializer.TruncatedNormal(std=std))


def linear(inputs: int, outputs: int, zero: bool = False, bias: bool = True) -> Linear:
    """Makes a linear layer with normal or zero weights."""
    zeros = paddle.ParamAttr(initializer=nn.initializer.Constant(0.0))
    attributes = {} if bias else {"bias_attr": False}
    return Linear(inputs, outputs, weight_attr=zeros if zero else normal(), **attributes)


def norm(width: int, parts: Parts) -> LayerNorm:
    """Makes a layer norm."""
    return LayerNorm(width, epsilon=parts.norm_epsilon)


@replaceable
class Attention(nn.Layer):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int, rates: DropRates, bias: bool = True):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv = linear(width, 3 * width, bias=bias)
        self.attn_drop = Dropout(rates.attention, axis=1)
        self.proj = linear(width, width)
        self.proj_drop = Dropout(rates.projection)

    def forward(self, x: Tensor, queries: int) -> Tensor:
        return self.proj_drop(self.proj(self.attend(self.qkv(x), queries)))

    def attend(self, x: Tensor, queries: int) -> Tensor:
        """Mixes the values: `(B, N, 3 D)` to `(B, queries, D)`."""
        attend = self._fused if fuses_attention(x, self.attn_drop) else self._mixed
        return attend(x, queries)

    def prepared(self, x: Tensor, norm: str, axis: int) -> Tensor:
        """Returns queries or keys as the products take them; a subclass may change them.

        Args:
            x: of all heads, with the tokens on `axis`.
            norm: `q_norm` or `k_norm`.
            axis: 1 or 2.
        """
        return x

    def _mixed(self, x: Tensor, queries: int) -> Tensor:
        sliced = _slices_heads(x)
        q, k, v = self._sliced(x) if sliced else self._transposed(x)  # (H, B, N, D/H)
        q, k = self.prepared(q[:, :, :queries], "q_norm", 2), self.prepared(k, "k_norm", 2)
        scores = paddle.matmul(q * self.scale, k, transpose_y=True)
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
        q, k = self.prepared(q[:, :queries], "q_norm", 1), self.prepared(k, "k_norm", 1)
        mixed, _ = flash_attention(q.contiguous(), k.contiguous(), v.contiguous())
        return mixed.flatten(2)


def _slices_heads(x: Tensor) -> bool:
    """Returns whether Paddle's CPU operators take `x` at once, not as part of a program."""
    return paddle.in_dynamic_mode() and x.place.is_cpu_place()


class PartedAttention(Attention):
    """Attention with further parts; never compiled as a whole.

    They are norms of the queries and the keys of each head (Dehghani et al., arXiv:2302.05442),
    rotary positions, a bias of queries and values only, and a norm before the last layer.
    """

    def __init__(
        self, width: int, heads: int, rates: DropRates, parts: Parts, rotary: Rotary | None
    ):
        biases = parts.qkv_bias and not parts.key_bias
        super().__init__(width, heads, rates, parts.qkv_bias and parts.key_bias)
        self.rotary = rotary
        self.q_bias, self.v_bias = (
            self.create_parameter([width], is_bias=True) if biases else None for _ in range(2)
        )
        self.q_norm, self.k_norm = (
            norm(width // heads, parts) if parts.qk_norm else nn.Identity() for _ in range(2)
        )
        self.norm = norm(width, parts) if parts.attention_norm else nn.Identity()

    def forward(self, x: Tensor, queries: int) -> Tensor:
        x = self.qkv(x)
        if self.q_bias is not None:
            biases = [self.q_bias, paddle.zeros_like(self.q_bias), self.v_bias]
            x = x + paddle.concat(biases).astype(x.dtype)
        return self.proj_drop(self.proj(self.norm(self.attend(x, queries))))

    def prepared(self, x: Tensor, norm: str, axis: int) -> Tensor:
        found = getattr(self, norm)(x).astype(x.dtype)
        return found if self.rotary is None else self.rotary(found, axis)


def attention(
    width: int, heads: int, rates: DropRates, parts: Parts, rotary: Rotary | None = None
) -> Attention:
    """Makes the attention of a block."""
    if rotary or parts.qk_norm or parts.attention_norm or not parts.key_bias:
        return PartedAttention(width, heads, rates, parts, rotary)
    return Attention(width, heads, rates, parts.qkv_bias)


@replaceable
class Mlp(nn.Layer):
    """Two linear layers with an activation between them, and dropout behind each."""

    def __init__(self, width: int, hidden: int, rates: DropRates, activation: str = "gelu"):
        super().__init__()
        self.activation = activation
        self.fc1 = linear(width, hidden)
        self.fc2 = linear(hidden, width)
        self.drop = Dropout(rates.mlp)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(ACTIVATIONS[self.activation](self.fc1(x)))))


class GatedMlp(nn.Layer):
    """SwiGLU: the SiLU of one half of the first layer's output times the other half.

    `hidden` is the width of both halves, as in timm. Never compiled as a whole. Source: Shazeer,
    arXiv:2002.05202; initial values as in timm's `GluMlp`.
    """

    def __init__(self, width: int, hidden: int, rates: DropRates, parts: Parts):
        super().__init__()
        if hidden % 2:
            raise ValueError(f"mlp is swiglu, whose hidden width must be even; it is {hidden}")
        self.fc1 = linear(width, hidden)
        self.norm = norm(hidden // 2, parts) if parts.mlp_norm else nn.Identity()
        self.fc2 = linear(hidden // 2, width)
        self.drop = Dropout(rates.mlp)
        gate, value = self.fc1.weight.chunk(2, axis=-1)
        self.fc1.weight.set_value(paddle.concat([gate, 1e-6 * paddle.randn(value.shape)], axis=-1))
        self.fc1.bias.set_value((paddle.arange(hidden) >= hidden // 2).astype("float32"))

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.fc1(x).chunk(2, axis=-1)
        return self.drop(self.fc2(self.norm(self.drop(F.silu(gate) * value))))


def mlp(width: int, hidden: int, rates: DropRates, parts: Parts) -> nn.Layer:
    """Makes the MLP of a block."""
    if parts.mlp == "swiglu":
        return GatedMlp(width, hidden, rates, parts)
    return Mlp(width, hidden, rates, parts.activation)


class LayerScale(nn.Layer):
    """The factors `gamma` `(D,)` of a residual branch, which the branch applies itself.

    Without an initial value there are none. Source: Touvron et al., arXiv:2103.17239.
    """

    def __init__(self, width: int, value: float):
        super().__init__()
        same = paddle.ParamAttr(initializer=nn.initializer.Constant(value))
        self.gamma = self.create_parameter([width], attr=same) if value else None


class PreLogits(nn.Layer):
    """A linear layer with tanh below the head, as in the ViT paper's pre-training."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.fc = linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x).tanh()


class PatchEmbed(nn.Layer):
    """Cuts images into patches and projects each: `(B, 3, S, S)` to `(B, (S / patch)^2, D)`."""

    def __init__(self, patch: int, width: int, bias: bool = True):
        super().__init__()
        weight = normal((3 * patch * patch) ** -0.5)
        self.proj = nn.Conv2D(3, width, patch, stride=patch, weight_attr=weight, bias_attr=bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose([0, 2, 1])
