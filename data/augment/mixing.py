"""Mixup and CutMix: images are mixed in pairs, with their targets, on the device.

Papers: Zhang et al., "mixup", arXiv:1710.09412; Yun et al., "CutMix", arXiv:1905.04899. The same as
timm's `Mixup`: in a micro-batch the first image is mixed with the last, the second with the last
but one, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle

MODES = ("batch", "elem", "pair")
_HALF_WORD = 2**32  # a choice of two takes 32 bits from numpy's generator


class Mix(NamedTuple):
    """How two images are mixed.

    Attributes:
        share: of the first image.
        box: `(rows, columns)` where the second image replaces the first; None for mixup.
    """

    share: float
    box: tuple[slice, slice] | None


class Mixing:
    """Mixup, CutMix, or one of the two each time.

    Args:
        mixup_alpha: mixup's share of the first image is drawn from Beta(alpha, alpha); 0: no mixup.
        cutmix_alpha: CutMix's share, the area that is kept, is drawn from Beta(alpha, alpha); 0: no
            CutMix.
        mode: a mix is drawn for each micro-batch (`batch`), image (`elem`), or pair of images
            (`pair`).
        probability: that a mix is done at all.
        switch_probability: of CutMix instead of mixup, when both are on.
    """

    def __init__(
        self,
        mixup_alpha: float,
        cutmix_alpha: float,
        mode: str = "batch",
        probability: float = 1.0,
        switch_probability: float = 0.5,
    ):
        self.mixup_alpha, self.cutmix_alpha, self.mode = mixup_alpha, cutmix_alpha, mode
        self.probability = probability
        self.cutmix_probability = (
            switch_probability if mixup_alpha and cutmix_alpha else float(cutmix_alpha > 0)
        )

    @property
    def active(self) -> bool:
        return bool(self.mixup_alpha or self.cutmix_alpha) and self.probability > 0

    def __call__(
        self, images: paddle.Tensor, targets: paddle.Tensor, classes: int, rng: np.random.Generator
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Mixes a batch.

        Args:
            images: `(B, 3, S, S)`, of floats.
            targets: int64 `(B,)` or float32 `(B, C)`.
            classes: C.
            rng: draws the mixes.

        Returns:
            Images of the same shape and type, and targets float32 `(B, C)` whose rows sum to 1.
        """
        mixes = self.draw(len(images), images.shape[-1], rng)
        # (B, 1), or (1, 1) for the whole batch
        shares = paddle.to_tensor([[mix.share] for mix in mixes], "float32")
        rest = paddle.to_tensor([[1 - mix.share] for mix in mixes], "float32")
        targets = paddle.nn.functional.one_hot(targets, classes) if targets.ndim == 1 else targets
        return _mixed(images, mixes), shares * targets + rest * targets.flip(0)

    def draw(self, batch: int, side: int, rng: np.random.Generator) -> list[Mix]:
        """Draws the mixes of a batch.

        Args:
            batch: number of images.
            side: of the square images, in pixels.
            rng: draws the mixes.

        Returns:
            A mix for each image, or a single one for all.
        """
        if self.mode == "batch":
            return [self._draw(side, rng)]
        if self.mode == "elem":
            return [self._draw(side, rng) for _ in range(batch)]
        half = [self._draw(side, rng) for _ in range(-(-batch // 2))]
        return half + half[: batch // 2][::-1]

    def _draw(self, side: int, rng: np.random.Generator) -> Mix:
        if self.probability < 1 and rng.random() >= self.probability:
            return Mix(1.0, None)
        cutmix = self.cutmix_probability
        if 0 < cutmix < 1:  # otherwise no number is drawn
            cutmix = float(rng.integers(_HALF_WORD) >= (1 - cutmix) * _HALF_WORD)
        if not cutmix:
            return Mix(float(rng.beta(self.mixup_alpha, self.mixup_alpha)), None)
        return _cut(side, float(rng.beta(self.cutmix_alpha, self.cutmix_alpha)), rng)


def _cut(side: int, share: float, rng: np.random.Generator) -> Mix:
    """Draws a box of `1 - share` of the area; the mix has its exact share inside the image.

    As in the code of the CutMix paper, the box reaches half its side, rounded down, to both sides
    of its centre, and is cut off at the edges of the image.
    """
    half = int(side * (1 - share) ** 0.5) // 2
    rows, columns = (
        slice(*np.clip([centre - half, centre + half], 0, side).tolist())
        for centre in rng.integers(0, side, 2)
    )
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mix(1 - area / side**2, (rows, columns))


def _mixed(images: paddle.Tensor, mixes: list[Mix]) -> paddle.Tensor:
    """Mixes each image of `(B, 3, S, S)` with the image at the same place from the end."""
    others, mixed = images.flip(0), images
    boxes = [(position, mix.box) for position, mix in enumerate(mixes) if mix.box]
    if len(boxes) < len(mixes):
        shares = np.array([1.0 if mix.box else mix.share for mix in mixes]).reshape(-1, 1, 1, 1)
        shares, rest = (paddle.to_tensor(values, "float32") for values in (shares, 1 - shares))
        mixed = shares * images + rest * others
    if boxes:
        cut = np.zeros((len(mixes), 1, *images.shape[2:]), bool)
        for position, (rows, columns) in boxes:
            cut[position, 0, rows, columns] = True
        mixed = paddle.where(paddle.to_tensor(cut).expand(images.shape), others, mixed)
    return mixed
