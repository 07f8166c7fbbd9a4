"""Several noisy passes of the same images for little more than they must cost."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

from models.dropout import batch_copies, random_layers, silence


class MultiPass(nn.Layer):
    """A classifier of which the part before the first random layer runs once for all copies of an image.

    A family gives `embed`, `stages` and `classify`. Shapes: B images, times the copies once they are split up.
    """

    def embed(self, images: Tensor) -> Tensor:
        """Images `(B, 3, S, S)` to tokens `(B, N, D)`; draws no random numbers."""
        raise NotImplementedError

    def stages(self) -> list[tuple[nn.Layer, ...]]:
        """What tokens go through, in order: the embedding's dropout, then one entry for each block."""
        raise NotImplementedError

    def classify(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, D)` to logits `(B, C)`; draws no random numbers."""
        raise NotImplementedError

    def forward(self, images: Tensor, copies: int = 1) -> Tensor:
        """Classify images.

        Args:
            images: normalised, `(B, 3, S, S)`.
            copies: how many times each image passes, each with noise of its own.

        Returns:
            Logits `(copies, B, C)`; `(B, C)` for `copies=1`.
        """
        x, pending = self.embed(images), copies
        with batch_copies(copies):
            for layer in (layer for stage in self.stages() for layer in stage):
                if pending > 1 and self.training and random_layers(layer):
                    x, pending = paddle.concat([x] * copies), 1  # (copies * B, N, D), from the first random layer on
                x = layer(x)
        logits = self.classify(x)
        if pending > 1:  # nothing was random: all copies are the same
            logits = paddle.concat([logits] * copies)
        return logits.reshape([copies, -1, *logits.shape[1:]]) if copies > 1 else logits

    def share(self, blocks: int) -> None:
        """Switch the noise of the embedding and of the first blocks off: they then run once for all copies.

        Raises:
            ValueError: when there are fewer blocks.
        """
        stages = self.stages()
        if not 0 <= blocks < len(stages):
            raise ValueError(f"shared_blocks is {blocks}, expected 0 to {len(stages) - 1}, the number of blocks")
        for layer in (layer for stage in stages[: blocks + 1] for layer in stage):
            if blocks:
                silence(layer)
