"""The first loss of a run: near that of guessing, where the head is new."""

from __future__ import annotations

import math

from ml_collections import ConfigDict
from paddle import Tensor, nn

from engine.results import precise_batch_norm
from models.layers import BATCH_NORMS, changed

# New weights of all models here begin within 2 nats of guessing (two images, 1000 classes).
_FAR, _LEAST = 0.5, 2.0  # relative to guessing; nats


def note(ce: float, config: ConfigDict, own_head: bool) -> list[str]:
    """Returns a warning where the first cross-entropy is far from that of guessing.

    Args:
        ce: on a few images, in nats.
        config: of the model.
        own_head: whether pretrained weights brought their head, which does not guess.
    """
    classes = config.model.num_classes
    guessing, name = math.log(classes), f"ln({classes})"
    if config.loss.form == "sigmoid":  # each class is a question of its own
        guessing, name = math.log(2), "ln(2)"
    if own_head or abs(ce - guessing) <= max(_FAR * guessing, _LEAST):
        return []
    return [
        f"warning: the first cross-entropy is {ce:.5g}, by guessing it is {name} = {guessing:.3g}: "
        "what the new head reads, or its weights, are too large; see model.mean, model.std and "
        "frozen batch norms, or begin with --config.model.head_init=zero"
    ]


def give_statistics(model: nn.Layer, images: Tensor) -> bool:
    """Gives frozen batch norms of new weights the statistics of some images, in place of 0 and 1.

    Trained weights bring their statistics. With 0 and 1 each block of a ResNet adds to the variance
    of its input, and the loss is in the thousands.

    Args:
        model: of a dry run, without its pretrained weights.
        images: normalised, `(B, 3, S, S)`; those of the step.

    Returns:
        Whether there are such batch norms.
    """
    layers = model.sublayers()
    frozen = [one for one in layers if isinstance(one, BATCH_NORMS) and one._use_global_stats]
    if frozen:
        with changed(frozen, _use_global_stats=False):
            precise_batch_norm.estimate(model, [images])
    return bool(frozen)
