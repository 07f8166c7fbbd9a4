"""Changes that end with a context: of layers (hooks, attributes) and of context variables."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar

from paddle import nn


@contextlib.contextmanager
def watched(
    layers: Iterable[nn.Layer], before: Callable | None = None, after: Callable | None = None
) -> Iterator[None]:
    """Calls functions at each forward pass of some layers, until the context ends.

    Args:
        layers: to watch.
        before: called as `before(layer, inputs)`. What it returns replaces the inputs, unless None.
        after: called as `after(layer, inputs, output)`. What it returns replaces the output, unless
            None.
    """
    with contextlib.ExitStack() as hooks:
        for layer in layers:
            if before:
                hooks.callback(layer.register_forward_pre_hook(before).remove)
            if after:
                hooks.callback(layer.register_forward_post_hook(after).remove)
        yield


@contextlib.contextmanager
def changed(layers: Iterable[nn.Layer], **attributes) -> Iterator[None]:
    """Sets attributes of each of some layers, until the context ends."""
    with contextlib.ExitStack() as former:
        for layer in layers:
            for name, value in attributes.items():
                former.callback(setattr, layer, name, getattr(layer, name))
                setattr(layer, name, value)
        yield


@contextlib.contextmanager
def set_to(variable: ContextVar, value) -> Iterator[None]:
    """Sets a context variable, until the context ends."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
