"""The precision of matrix products on a CPU."""

from contextlib import AbstractContextManager
from contextvars import ContextVar

from models.layers.temporary_changes import set_to

_BFLOAT16: ContextVar[bool] = ContextVar("bfloat16", default=False)


def in_bfloat16() -> AbstractContextManager:
    """Returns a context in which compiled branches round operands of products to bfloat16."""
    return set_to(_BFLOAT16, True)


def computes_in_bfloat16() -> bool:
    """Returns whether compiled branches round operands of products to bfloat16 now."""
    return _BFLOAT16.get()
