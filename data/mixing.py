"""Images mixed in pairs, with their targets.

Papers: Zhang et al., "mixup", arXiv:1710.09412; Yun et al., "CutMix", arXiv:1905.04899. As timm's batch mode: one draw
for a micro-batch, in which the first image meets the last, the second the last but one, and so on.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor


class Mixing:
    """Mixup, CutMix, or either with the same probability.

    Args:
        mixup_alpha: of mixup's share of the first image, drawn from Beta(alpha, alpha); 0: no mixup.
        cutmix_alpha: likewise for CutMix, of the area that is kept.
    """

    def __init__(self, mixup_alpha: float, cutmix_alpha: float):
        self.alphas = {mix: alpha for mix, alpha in ((_mixup, mixup_alpha), (_cutmix, cutmix_alpha)) if alpha}

    @property
    def active(self) -> bool:
        return bool(self.alphas)

    def __call__(
        self, images: Tensor, targets: Tensor, classes: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: `(B, 3, S, S)`, of floats.
            targets: int64 `(B,)` or float32 `(B, C)`.
            classes: C.
            rng: decides the mix.

        Returns:
            Images as they came in, and targets float32 `(B, C)` whose rows sum to 1.
        """
        mix = list(self.alphas)[int(rng.integers(len(self.alphas)))]
        share = float(rng.beta(self.alphas[mix], self.alphas[mix]))
        images, share = mix(images, images.flip(0), share, rng)
        targets = F.one_hot(targets, classes) if targets.ndim == 1 else targets
        return images, share * targets + (1 - share) * targets.flip(0)


def _mixup(images: Tensor, others: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    return share * images + (1 - share) * others, share


def _cutmix(images: Tensor, others: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """A box of the other image, `1 - share` of the area before it is cut off at the edges; gives the exact share."""
    side = images.shape[-1]
    half = int(side * (1 - share) ** 0.5) // 2
    bounds = [np.clip([centre - half, centre + half], 0, side) for centre in rng.integers(0, side, 2)]
    box = np.zeros((1, 1, side, side), bool)
    box[..., slice(*bounds[0]), slice(*bounds[1])] = True
    mixed = paddle.where(paddle.to_tensor(box).expand(images.shape), others, images)
    return mixed, 1 - float(box.mean())
