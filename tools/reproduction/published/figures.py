"""All figures that `tools.reproduce` knows, by name."""

from common.errors import UserError, nearest
from tools.reproduction.published import rdrop, tiny_imagenet, tricks
from tools.reproduction.published.kinds import Figure, by_name

FIGURES = by_name(
    (
        *rdrop.RDROP,
        *tiny_imagenet.MODELS,
        *tiny_imagenet.ABLATION,
        *tiny_imagenet.OPTIMISERS,
        *tiny_imagenet.BATCHES,
        *tricks.WARM_UP,
        *tricks.FIXRES,
        *tricks.DISTILLATION,
        *rdrop.DIGITS,
    )
)


def find(name: str) -> Figure:
    """Returns the figure of a name.

    Raises:
        UserError: when there is none.
    """
    if name not in FIGURES:
        raise UserError(
            f"{name!r} is no figure of this project{nearest(name, FIGURES, listed=False)} "
            "(python -m tools.reproduce --list)"
        )
    return FIGURES[name]
