"""Changes of layers that are undone when a context ends: hooks, and attributes such as the mode."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from paddle import nn


@contextlib.contextmanager
def watched(
    layers: Iterable[nn.Layer], before: Callable | None = None, after: Callable | None = None
) -> Iterator[None]:
    """Has functions called at each forward pass of some layers, until the context ends.

    Args:
        layers: to watch.
        before: called as `before(layer, inputs)`; what it returns replaces the inputs, unless None.
        after: called as `after(layer, inputs, output)`; what it returns replaces the output, unless
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
