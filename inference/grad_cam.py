"""Grad-CAM: where the features of a network speak for a class.

Source: Selvaraju et al., arXiv:1610.02391. It is for networks whose features have places up to the
head: convolutional ones, Swin and LeViT. Where the head is linear and reads the mean of the places,
as it does in most of them, it is CAM (Zhou et al., arXiv:1512.04150).

Shapes: B images, N tokens, K channels, a feature map of (h, w) places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor, nn
from ppim.models.levit import LeViT
from ppim.models.t2t import T2T_ViT

from common.errors import UserError
from inference.classifier import Classifier
from models.families.cnn_levit_t2t import Whole
from models.families.swin import Swin
from models.layers import changed, watched

Floats = NDArray[np.float32]

_BATCH = 16  # images that go through the model together


def grad_cam(classifier: Classifier, pixels: NDArray[np.uint8], classes: Sequence[int]) -> Floats:
    """Computes where the last features speak for a class.

    The features are those of the last layer with more than one place: of a convolutional network
    its last feature map, of Swin the normalised tokens, of LeViT its last tokens. Each channel is
    weighted by the mean of the gradient of the class's logit over the places. What is then below 0
    is cut off.

    Args:
        classifier: whose model is asked.
        pixels: uint8 `(B, 3, S, S)`, from `classifier.read`; at least one.
        classes: a position in the classes for each image.

    Returns:
        `(B, h, w)`. A map is 0 everywhere where no place speaks for the class.

    Raises:
        UserError: for another kind of model.
    """
    layer = find_layer(classifier.model, classifier.normalised(pixels[:1]))
    if layer is None:
        raise UserError(f"model {classifier.model.registry_name} has no feature map for Grad-CAM")
    found = []
    for start in range(0, len(pixels), _BATCH):
        batch = slice(start, start + _BATCH)
        features, gradient = _gradient(classifier, pixels[batch], classes[batch], layer)
        weights = gradient.mean(axis=(2, 3), keepdims=True)  # (B, K, 1, 1)
        found.append(np.maximum((weights * features).sum(axis=1), 0))
    return np.concatenate(found)


@paddle.no_grad()
def find_layer(model: nn.Layer, images: Tensor) -> nn.Layer | None:
    """Returns the last layer with more than one place.

    Args:
        model: in evaluation mode.
        images: one, normalised, `(1, 3, S, S)`.

    Returns:
        None for a transformer whose head reads a token, and where there is no such layer.
    """
    if isinstance(model, Swin):
        return model.norm
    net = model.net if isinstance(model, Whole) else None
    if isinstance(net, LeViT):
        return net.blocks
    if net is None or isinstance(net, T2T_ViT):
        return None
    found: list[nn.Layer] = []

    def note(layer: nn.Layer, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and max(output.shape[2:]) > 1:
            found.append(layer)

    with watched(net.sublayers(), after=note):
        model(images)
    return found[-1] if found else None


def _gradient(
    classifier: Classifier, pixels: NDArray[np.uint8], classes: Sequence[int], layer: nn.Layer
) -> tuple[Floats, Floats]:
    """Returns the output of a layer and the gradient of the classes' logits: `(B, K, h, w)`."""
    found: list[Tensor] = []
    model = classifier.model

    def cut(_: nn.Layer, inputs: object, output: Tensor) -> Tensor:
        """Lets the gradient begin here: what is below needs none, and keeps nothing for it."""
        leaf = output.detach()
        leaf.stop_gradient = False
        found.append(leaf)
        return leaf

    with changed(model.parameters(), stop_gradient=True), watched([layer], after=cut):
        logits = model(classifier.normalised(pixels))  # (B, C)
        chosen = F.one_hot(paddle.to_tensor(classes), logits.shape[1])
        (gradient,) = paddle.grad((logits * chosen).sum(), found[-1:])
    features, slope = found[-1].numpy(), gradient.numpy()
    return (features, slope) if features.ndim == 4 else (_as_map(features), _as_map(slope))


def _as_map(tokens: Floats) -> Floats:
    """Returns tokens of a square image, `(B, N, K)`, as `(B, K, h, w)`."""
    side = math.isqrt(tokens.shape[1])
    return tokens.reshape(len(tokens), side, side, -1).transpose(0, 3, 1, 2)
