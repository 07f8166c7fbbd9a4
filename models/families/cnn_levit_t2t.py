"""Whole networks of PPIM and `paddle.vision`: convolutional ones, LeViT and T2T-ViT, as they are.

Their only noise is dropout in front of the classifier (T2T-ViT: its own dropout and stochastic
depth). So everything before it runs once for all copies of an image. Dropout that a network brings
along is switched off: the rates decide. Parts that do not run in PPIM 1.1.0 are repaired here.
"""

import functools

import numpy as np
import paddle
import ppim.models
from paddle import Tensor, nn
from ppim.models import cdnv2, levit, repvgg, t2t

from models.builders import Head, ImageSize
from models.layers import (
    Dropout,
    DropRates,
    batch_copies,
    changed,
    random_layers,
    replace_dropout,
    replace_layers,
)
from models.multipass import MultiPass


class Whole(MultiPass):
    """A network from images to logits, with its own names of parameters.

    Args:
        net: returns logits `(B, C)`.
        heads: the names of its classifiers.
        rates: the rate of the MLP is that of the dropout in front of the classifiers.
    """

    joined = True
    derived = ("attention_bias_idxs",)
    spread = 1  # how many copies the classifiers make of their input

    def __init__(self, net: nn.Layer, heads: tuple[str, ...], rates: DropRates):
        super().__init__()
        self.net, self.heads = net, heads
        for head in self._heads():
            head.add_sublayer("input_drop", Dropout(rates.mlp))
            head.register_forward_pre_hook(self._before_head)
            self.num_classes = head.bias.shape[0]

    @property
    def noise_in_heads_only(self) -> bool:
        """Whether everything before the classifiers runs once for all copies."""
        return all(name.startswith(self.heads) for name in random_layers(self.net))

    def embed(self, images: Tensor) -> Tensor:
        return images

    def block_groups(self) -> list[tuple[nn.Layer, ...]]:
        return [(self.net,)]

    def classify(self, tokens: Tensor) -> Tensor:
        """Returns the logits `(B, C)`; ReXNet's have lost the axis of a batch of one."""
        return tokens.reshape([-1, self.num_classes])

    def longest_cut(self) -> int:
        """Returns 2 where one classifier alone is trained and has noise, else 0."""
        named = self.net.named_parameters()
        trained = [name for name, one in named if not one.stop_gradient]
        alone = self.noise_in_heads_only and all(name.startswith(self.heads) for name in trained)
        return 2 if alone and len(self.heads) == 1 else 0

    def _front(self, images: Tensor) -> Tensor:
        head = self._heads()[0]
        with changed([head.input_drop], training=False), self.head_inputs() as found:
            self.net(images)
        return found[0]

    def _behind(self, features: Tensor, copies: int) -> Tensor:
        with changed([self], spread=copies), batch_copies(range(copies)):
            logits = self.classify(self._heads()[0](features))
        return logits if copies == 1 else logits.reshape([copies, -1, *logits.shape[1:]])

    def _heads(self) -> list[nn.Layer]:
        return [functools.reduce(getattr, name.split("."), self.net) for name in self.heads]

    def state_dict(self, *args, **kwargs):
        """Returns the state of the network, with its own names."""
        return self.net.state_dict(*args, **kwargs)

    def set_state_dict(self, *args, **kwargs):
        """Sets the state of the network, with its own names."""
        return self.net.set_state_dict(*args, **kwargs)

    def _passes(self, x: Tensor, layers: list[nn.Layer], copies: int) -> Tensor:
        if not layers or not self.noise_in_heads_only:
            return super()._passes(x, layers, copies)
        with changed([self], spread=copies), batch_copies(range(copies)):
            return self._run(x, layers)

    def _before_head(self, head: nn.Layer, inputs: tuple[Tensor, ...]) -> Tensor:
        x = inputs[0] if self.spread == 1 else paddle.concat([inputs[0]] * self.spread)
        return head.input_drop(x)


def make_cnn(
    name: str, classifier: str, image_size: ImageSize, rates: DropRates, head: Head
) -> Whole:
    """Makes one of PPIM's networks by its name, or a `resnet_<depth>` of `paddle.vision`."""
    _refuse_inner_noise(rates)
    if name.startswith("resnet_"):
        make = getattr(paddle.vision.models, name.replace("_", ""))
        net = make(num_classes=head.num_classes)
    else:
        net = getattr(ppim.models, name)(class_dim=head.num_classes)
    if isinstance(net, cdnv2.CondenseNetV2):
        net.features.pool_last = nn.AdaptiveAvgPool2D(1)  # the mean of 7 x 7, at other sizes too
    for layer in net.sublayers():
        _repair(layer)
    return Whole(net, (classifier,), rates)


def _repair(layer: nn.Layer) -> None:
    if isinstance(layer, nn.Dropout):
        layer.p = 0.0
    elif isinstance(layer, repvgg.RepVGGBlock):
        # In evaluation it would need a fused convolution, which is never made.
        layer.register_forward_pre_hook(lambda block, inputs: setattr(block, "training", True))
    elif isinstance(layer, cdnv2.CondenseLGC):
        # All channels in their order; before weights are loaded it is channel 0 for all.
        layer.index.set_value(paddle.arange(layer.in_channels))
    elif isinstance(layer, cdnv2.CondenseSFR):
        layer.index.set_value(paddle.eye(layer.out_channels))


def make_levit(
    image_size: ImageSize,
    rates: DropRates,
    head: Head,
    *,
    widths: tuple[int, ...],
    heads: tuple[int, ...],
    key: int,
    depths: tuple[int, ...],
) -> Whole:
    """Makes a LeViT from its sizes.

    It has no stochastic depth: its own draws from numpy's global generator.
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
        class_dim=head.num_classes,
    )
    return Whole(net, ("head.l", "head_dist.l"), rates)


def make_t2t(image_size: ImageSize, rates: DropRates, head: Head, **shape) -> Whole:
    """Makes a T2T-ViT; `shape` has further arguments of PPIM's class."""
    t2t.orthogonal_ = _orthogonal
    sizes = {"img_size": image_size, "class_dim": head.num_classes, **shape}
    net = t2t.T2T_ViT(drop_path_rate=rates.path, **sizes)
    replace_dropout(net, rates)
    replace_layers(net)
    for name, parameter in net.named_parameters():
        # Sinusoids and random features stay, as in the authors' code.
        if name == "pos_embed" or name.endswith(".w"):
            parameter.stop_gradient = True
    return Whole(net, ("head",), DropRates())


def _orthogonal(tensor: Tensor) -> Tensor:
    """Returns orthonormal rows made from random ones `(m, n)`, m <= n.

    PPIM's own function needs `paddle.fluid`, which is gone.
    """
    q, r = np.linalg.qr(tensor.numpy().T)  # (n, m), (m, m)
    return paddle.to_tensor(np.ascontiguousarray((q * np.sign(np.diag(r))).T))


def _refuse_inner_noise(rates: DropRates) -> None:
    if rates.attention or rates.path:
        raise ValueError(
            "attn_drop_rate and drop_path_rate must be 0: "
            "it has dropout in front of its classifier only"
        )
