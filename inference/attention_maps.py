"""Maps of what a model looked at: attention of transformers, Grad-CAM of other networks.

`rollout` and `last_attention` are for models whose tokens attend to all patches (ViT, DeiT, CaiT,
T2T-ViT); `inference/grad_cam.py` is for the others. `maps` chooses. The attention weights are those
that the values are multiplied with, taken where dropout gets them. The blocks that are watched
compute with Paddle's operators: compiled ones do not show the weights.

Maps are not scaled: `pictures.overlay` does that. Shapes: B images, q queries, N tokens, C classes,
a grid of (h, w) patches or places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from ppim.models.t2t import T2T_ViT

from common.errors import UserError
from inference.classifier import Classifier
from inference.grad_cam import find_layer, grad_cam
from models.families.cait import CaiT
from models.families.vit import VisionTransformer
from models.families.vit_layers import Attention
from models.layers import watched

Floats = NDArray[np.float32]

ROLLOUT, GRAD_CAM = "attention rollout", "Grad-CAM"
_BATCH = 16  # images that go through the model together


class Maps(NamedTuple):
    """The maps of some images.

    Attributes:
        kind: `ROLLOUT` or `GRAD_CAM`.
        values: `(B, h, w)`, 0 or more.
    """

    kind: str
    values: Floats


def maps(
    classifier: Classifier, pixels: NDArray[np.uint8], classes: Sequence[int] | None = None
) -> Maps | None:
    """Computes the maps that suit a model.

    Args:
        classifier: whose model is asked.
        pixels: uint8 `(B, 3, S, S)`, from `classifier.read`.
        classes: for Grad-CAM, a position in the classes for each image; None for those that the
            model predicts. Attention does not depend on the class.

    Returns:
        None for a model that has neither kind.
    """
    if _tokens(classifier.model) is not None:
        return Maps(ROLLOUT, rollout(classifier, pixels))
    if find_layer(classifier.model, classifier.normalised(pixels[:1])) is None:
        return None
    if classes is None:
        classes = classifier.logits(pixels).argmax(axis=1).tolist()
    return Maps(GRAD_CAM, grad_cam(classifier, pixels, classes))


def rollout(classifier: Classifier, pixels: NDArray[np.uint8]) -> Floats:
    """Computes how much of each patch reaches what the head reads, through all blocks.

    Source: Abnar and Zuidema, arXiv:2005.00928. A block is the matrix `0.5 A + 0.5 I`, where `A` is
    the mean of the attention weights over the heads, and `I` stands for the residual connection;
    the matrices of all blocks are multiplied. Returned is the row of what the head reads:

    - the class token; for a distilled DeiT whose heads are averaged, the mean of both tokens' rows;
    - without a class token, or where the head pools tokens, the mean of the rows of these tokens.

    Register and class tokens take part in the products, and are left out of the map, so a map sums
    to less than 1. Rotary positions and norms of queries and keys are in the weights already.

    CaiT mixes the weights of its heads behind the softmax (talking heads). What the values are then
    multiplied with may be negative: its absolute value counts, divided by the sum of its row. The
    class token of CaiT comes in only for the last blocks; the patches stay as they are there.

    Args:
        classifier: whose model is asked.
        pixels: uint8 `(B, 3, S, S)`, from `classifier.read`.

    Returns:
        `(B, h, w)`.

    Raises:
        UserError: for a model without such attention.
    """
    tokens = _required_tokens(classifier.model)
    found = []
    for weights in _attention(classifier, pixels, tokens.attentions):
        blocks = [_shares(one).mean(axis=1) for one in weights]  # (B, q, N)
        row = np.broadcast_to(tokens.read(blocks[-1].shape[1]), blocks[-1].shape[:2])
        for block in reversed(blocks):
            row = _through(row[:, -block.shape[2] :], block)
        found.append(row)
    return _as_grid(np.concatenate(found), tokens.grid)


def last_attention(classifier: Classifier, pixels: NDArray[np.uint8]) -> Floats:
    """Returns the attention weights of the last block, from what the head reads to each patch.

    In CaiT the last block is that of the class attention. What the head reads: see `rollout`.

    Args:
        classifier: whose model is asked.
        pixels: uint8 `(B, 3, S, S)`, from `classifier.read`.

    Returns:
        `(B, heads, h, w)`.

    Raises:
        UserError: for a model without such attention.
    """
    tokens = _required_tokens(classifier.model)
    found = []
    for (weights,) in _attention(classifier, pixels, tokens.attentions[-1:]):
        found.append(tokens.read(weights.shape[2]) @ weights)  # (B, heads, N)
    return _as_grid(np.concatenate(found), tokens.grid)


class _Tokens(NamedTuple):
    """How a model's tokens attend.

    Attributes:
        attentions: the layers, in order; each has a layer `attn_drop`.
        grid: height and width, in patches; the patches are the last tokens.
        places: of the tokens that the head reads; empty: it reads the mean of all tokens but the
            first `skipped`.
        skipped: see there.
    """

    attentions: list[nn.Layer]
    grid: tuple[int, int]
    places: tuple[int, ...] = (0,)
    skipped: int = 0

    def read(self, count: int) -> Floats:
        """Returns the share that each of the first `count` tokens has in what the head reads."""
        shares = np.zeros(count, np.float32)
        shares[list(self.places) or slice(self.skipped, None)] = 1
        return shares / shares.sum()


def _tokens(model: nn.Layer) -> _Tokens | None:
    """Returns how the tokens of a model attend; None where they do not attend to all patches."""
    if isinstance(model, CaiT):
        blocks = [*model.blocks, *model.blocks_token_only]
        return _Tokens([block.attn for block in blocks], model.grid)
    if isinstance(model, VisionTransformer):
        parts, layers = model.parts, [block.attn for block in model.blocks]
        if parts.pool != "token":
            return _Tokens(layers, model.grid, (), 0 if parts.pool_prefix else model.prefix)
        choice = getattr(model, "eval_head", "class")
        places = {"class": (0,), "distillation": (1,)}.get(choice, (0, 1))
        return _Tokens(layers, model.grid, places)
    net = getattr(model, "net", None)
    if isinstance(net, T2T_ViT):
        side = math.isqrt(net.pos_embed.shape[1])
        return _Tokens([block.attn for block in net.blocks], (side, side))
    return None


def _required_tokens(model: nn.Layer) -> _Tokens:
    tokens = _tokens(model)
    if tokens is None:
        raise UserError(f"model {model.registry_name} has no attention to all patches")
    return tokens


@paddle.no_grad()
def _attention(
    classifier: Classifier, pixels: NDArray[np.uint8], layers: Sequence[nn.Layer]
) -> Iterator[list[Floats]]:
    """Yields the attention weights of some layers for each batch, in order: `(B, heads, q, N)`."""
    for start in range(0, len(pixels), _BATCH):
        found: list[Floats] = []

        def note(_: nn.Layer, inputs: tuple[Tensor], found: list[Floats] = found) -> None:
            found.append(inputs[0].numpy())

        with watched([layer.attn_drop for layer in layers], before=note):
            classifier.logits(pixels[start : start + _BATCH])
        yield [
            weights.swapaxes(0, 1) if isinstance(layer, Attention) else weights  # heads were first
            for layer, weights in zip(layers, found)
        ]


def _shares(weights: Floats) -> Floats:
    """Returns attention weights as shares: 0 or more, rows of sum 1. Those of a softmax stay."""
    size = np.abs(weights)
    return size / size.sum(axis=-1, keepdims=True)


def _through(row: Floats, block: Floats) -> Floats:
    """Multiplies a row of the product of the upper blocks, `(B, M)`, by the matrix of a block.

    Args:
        row: of the tokens that the block returns.
        block: its attention, `(B, q, N)`. Tokens behind the first q stay as they are.

    Returns:
        `(B, N)`.
    """
    queries, tokens = block.shape[1:]
    kept = np.pad(row, ((0, 0), (0, tokens - row.shape[1])))
    kept[:, :queries] *= 0.5
    return kept + 0.5 * np.einsum("bq,bqn->bn", row[:, :queries], block)


def _as_grid(values: Floats, grid: tuple[int, int]) -> Floats:
    """Returns the patches, the last tokens of `(..., N)`, as `(..., h, w)`."""
    patches = values[..., -grid[0] * grid[1] :]
    return patches.reshape(*values.shape[:-1], *grid)
