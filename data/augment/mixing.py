"""Images mixed in pairs, with their targets.

Papers: Zhang et al., "mixup", arXiv:1710.09412; Yun et al., "CutMix", arXiv:1905.04899. As timm's
`Mixup`: in a micro-batch the first image meets the last, the second the last but one, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor

MODES = ("batch", "elem", "pair")
_HALF_WORD = 2**32  # values of the 32 bits that a choice of two takes from numpy's generator


class Mix(NamedTuple):
    """How two images are mixed: `share` of the first, from which a box `(rows, columns)` is cut
    out, or none.
    """

    share: float
    box: tuple[slice, slice] | None


class Mixing:
    """Mixup, CutMix, or either.

    Args:
        mixup_alpha: of mixup's share of the first image, drawn from Beta(alpha, alpha); 0: no
            mixup.
        cutmix_alpha: likewise for CutMix, of the area that is kept.
        mode: what has a mix of its own: each micro-batch (`batch`), image (`elem`), or pair of
            images (`pair`).
        probability: of a mix to be done at all.
        switch_probability: of CutMix, where there is mixup, too.
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
        self, images: Tensor, targets: Tensor, classes: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: `(B, 3, S, S)`, of floats.
            targets: int64 `(B,)` or float32 `(B, C)`.
            classes: C.
            rng: decides the mixes.

        Returns:
            Images as they came in, and targets float32 `(B, C)` whose rows sum to 1.
        """
        mixes = self.draw(len(images), images.shape[-1], rng)
        shares = paddle.to_tensor(
            [[mix.share] for mix in mixes], "float32"
        )  # (B, 1), (1, 1) for the whole batch
        rest = paddle.to_tensor([[1 - mix.share] for mix in mixes], "float32")
        targets = F.one_hot(targets, classes) if targets.ndim == 1 else targets
        return _mixed(images, mixes), shares * targets + rest * targets.flip(0)

    def draw(self, batch: int, side: int, rng: np.random.Generator) -> list[Mix]:
        """The mixes of `batch` images of `side` pixels square: one for each, or a single one for
        all.
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
        if 0 < cutmix < 1:  # a choice that is certain takes no number
            cutmix = rng.integers(_HALF_WORD) >= (1 - cutmix) * _HALF_WORD
        if not cutmix:
            return Mix(float(rng.beta(self.mixup_alpha, self.mixup_alpha)), None)
        return _cut(side, float(rng.beta(self.cutmix_alpha, self.cutmix_alpha)), rng)


def _cut(side: int, share: float, rng: np.random.Generator) -> Mix:
    """A box of `1 - share` of the area, before it is cut off at the edges; the mix has the exact
    share.

    As in the code of the CutMix paper it reaches half its side, rounded down, to both sides of its
    centre.
    """
    half = int(side * (1 - share) ** 0.5) // 2
    rows, columns = (
        slice(*np.clip([centre - half, centre + half], 0, side).tolist())
        for centre in rng.integers(0, side, 2)
    )
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mix(1 - area / side**2, (rows, columns))


def _mixed(images: Tensor, mixes: list[Mix]) -> Tensor:
    """The images `(B, 3, S, S)`, each mixed with the one at its place from the end."""
    others, boxes = images.flip(0), [position for position, mix in enumerate(mixes) if mix.box]
    mixed = images
    if len(boxes) < len(mixes):
        shares = np.array([1.0 if mix.box else mix.share for mix in mixes]).reshape(-1, 1, 1, 1)
        mixed = (
            paddle.to_tensor(shares, "float32") * images
            + paddle.to_tensor(1 - shares, "float32") * others
        )
    if boxes:
        cut = np.zeros((len(mixes), 1, *images.shape[2:]), bool)
        for position in boxes:
            cut[(position, 0, *mixes[position].box)] = True
        mixed = paddle.where(paddle.to_tensor(cut).expand(images.shape), others, mixed)
    return mixed
