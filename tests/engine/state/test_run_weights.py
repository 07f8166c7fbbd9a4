"""The order of the classes of weights that other projects wrote."""

from __future__ import annotations

import pytest

from common.errors import UserError
from engine.state.run_weights import same_order


def test_the_order_of_classes():
    assert same_order(("a", "b"), ("a", "b"), "w.pth")
    assert not same_order(("a", "b"), ("cat", "dog"), "w.pth")  # other names: it can't be told
    assert not same_order(("a", "b"), (), "w.pth")
    with pytest.raises(UserError, match=r"class 0 .*'b'.* config\.json beside w\.pth is 'a'"):
        same_order(("b", "a"), ("a", "b"), "w.pth")
