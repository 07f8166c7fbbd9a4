"""Whole networks of PPIM and `paddle.vision`: convolutional ones, LeViT and T2T-ViT, kept as they
are.

Their only noise is dropout in front of the classifier (T2T-ViT: its own dropout and stochastic
depth), so everything before it runs once for all copies of an image. Dropout that a network brings
along is switched off: the rates decide. What does not run in PPIM 1.1.0 is mended here, from
outside.
"""

from __future__ import annotations

import functools

import numpy as np
import paddle
import ppim.models
from paddle import Tensor, nn
from ppim.models import cdnv2, levit, repvgg, t2t

from models.layers import basic_layers
from models.layers.dropout import Dropout, DropRates, replace_dropout, random_layers
from models.layers.dropout_masks import batch_copies
from models.multipass import MultiPass


class Whole(MultiPass):
    """A network from images to logits, under its own names of parameters.

    Args:
        net: gives logits `(B, C)`.
        heads: the names of its classifiers.
        rates: that of the MLP is the dropout in front of the classifiers.
    """

    joined = True
    derived = ("attention_bias_idxs",)

    def __init__(self, net: nn.Layer, heads: tuple[str, ...], rates: DropRates):
        super().__init__()
        self.net = net
        self.heads = heads
        self.spread = 1  # copies that the classifiers make of what they are given
        for name in heads:
            head = functools.reduce(getattr, name.split("."), net)
            head.add_sublayer("input_drop", Dropout(rates.mlp))
            head.register_forward_pre_hook(self._before_head)
            self.num_classes = head.bias.shape[0]

    @property
    def noise_in_heads_only(self) -> bool:
        """Whether everything before the classifiers runs once for all copies."""
        return all(name.startswith(self.heads) for name in random_layers(self.net))

    def embed(self, images: Tensor) -> Tensor:
        return images

    def stages(self) -> list[tuple[nn.Layer, ...]]:
        return [(self.net,)]

    def classify(self, tokens: Tensor) -> Tensor:
        """Logits `(B, C)` as they are; ReXNet's have lost the axis of a batch of one."""
        return tokens.reshape([-1, self.num_classes])

    def state_dict(self, *args, **kwargs):
        """Of the network, under its own names."""
        return self.net.state_dict(*args, **kwargs)

    def set_state_dict(self, *args, **kwargs):
        """Of the network, under its own names."""
        return self.net.set_state_dict(*args, **kwargs)

    def _passes(self, x: Tensor, layers: list[nn.Layer], copies: int) -> Tensor:
        if not layers or not self.noise_in_heads_only:
            return super()._passes(x, layers, copies)
        self.spread = copies
        try:
            with batch_copies(range(copies)):
                return self._run(x, layers)
        finally:
            self.spread = 1

    def _before_head(self, head: nn.Layer, inputs: tuple[Tensor, ...]) -> Tensor:
        x = inputs[0] if self.spread == 1 else paddle.concat([inputs[0]] * self.spread)
        return head.input_drop(x)


def make_cnn(name: str, head: str, image_size: int, rates: DropRates, num_classes: int) -> Whole:
    """One of PPIM's by its name, or a `resnet_<depth>` of `paddle.vision`; for images of any
    size.
    """
    _refuse_inner_noise(rates)
    if name.startswith("resnet_"):
        net = getattr(paddle.vision.models, name.replace("_", ""))(num_classes=num_classes)
    else:
        net = getattr(ppim.models, name)(class_dim=num_classes)
    if isinstance(net, cdnv2.CondenseNetV2):
        net.features.pool_last = nn.AdaptiveAvgPool2D(1)  # the mean of 7 x 7, at other sizes too
    for layer in net.sublayers():
        _mend(layer)
    return Whole(net, (head,), rates)


def _mend(layer: nn.Layer) -> None:
    if isinstance(layer, nn.Dropout):
        layer.p = 0.0
    elif isinstance(
        layer, repvgg.RepVGGBlock
    ):  # in evaluation it wants a fused convolution that nobody has made
        layer.register_forward_pre_hook(lambda block, inputs: setattr(block, "training", True))
    elif isinstance(
        layer, cdnv2.CondenseLGC
    ):  # all channels in their order; without weights it is channel 0 alone
        layer.index.set_value(paddle.arange(layer.in_channels))
    elif isinstance(layer, cdnv2.CondenseSFR):
        layer.index.set_value(paddle.eye(layer.out_channels))


def make_levit(
    widths: tuple[int, ...],
    heads: tuple[int, ...],
    key: int,
    depths: tuple[int, ...],
    image_size: int,
    rates: DropRates,
    num_classes: int,
) -> Whole:
    """LeViT by its sizes. Its own stochastic depth draws from numpy's global generator, so there is
    none.
    """
    _refuse_inner_noise(rates)
    levit.TruncatedNormal = nn.initializer.TruncatedNormal  # PPIM does not import it
    net = levit.LeViT(
        img_size=image_size,
        embed_dim=list(widths),
        key_dim=[key] * 3,
        depth=list(depths),
        num_heads=list(heads),
        down_ops=[["Subsample", key, width // key, 4, 2, 2] for width in widths[:2]],
        hybrid_backbone=levit.b16(widths[0]),
        class_dim=num_classes,
    )
    return Whole(net, ("head.l", "head_dist.l"), rates)


def make_t2t(
    tokens: str,
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: float,
    image_size: int,
    rates: DropRates,
    num_classes: int,
) -> Whole:
    """T2T-ViT by its sizes; `tokens` is `performer` or `transformer`."""
    t2t.orthogonal_ = _orthogonal
    net = t2t.T2T_ViT(
        img_size=image_size,
        tokens_type=tokens,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=mlp_ratio,
        drop_path_rate=rates.path,
        class_dim=num_classes,
    )
    replace_dropout(net, rates)
    basic_layers.replace_layers(net)
    for name, parameter in net.named_parameters():
        if name == "pos_embed" or name.endswith(
            ".w"
        ):  # sinusoids and random features stay, as in the authors' code
            parameter.stop_gradient = True
    return Whole(net, ("head",), DropRates())


def _orthogonal(tensor: Tensor) -> Tensor:
    """Orthonormal rows from random ones `(m, n)`, m <= n; PPIM's own needs `paddle.fluid`, which is
    gone.
    """
    q, r = np.linalg.qr(tensor.numpy().T)  # (n, m), (m, m)
    return paddle.to_tensor(np.ascontiguousarray((q * np.sign(np.diag(r))).T))


def _refuse_inner_noise(rates: DropRates) -> None:
    if rates.attention or rates.path:
        raise ValueError(
            "attn_drop_rate and drop_path_rate must be 0: it has dropout in front of its classifier only"
        )
