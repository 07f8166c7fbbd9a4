"""Optimisers against PyTorch's and timm's, over steps with random gradients, with decay and rates
by layer.
"""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from conftest import import_timm

from configs import default
from engine.step.optimizer import Optimizer

pytestmark = pytest.mark.slow
_STEPS, _LR, _DECAY = 20, 0.05, 0.1


def _reference(name: str, matrix, bias):
    torch = pytest.importorskip("torch")
    import_timm()
    from timm.optim import Lamb, Lars

    groups = [{"params": [matrix], "weight_decay": _DECAY}, {"params": [bias], "weight_decay": 0.0}]
    return {
        "adamw": lambda: torch.optim.AdamW(groups, _LR, betas=(0.8, 0.99)),
        "momentum": lambda: torch.optim.SGD(groups, _LR, momentum=0.7),
        "nesterov": lambda: torch.optim.SGD(groups, _LR, momentum=0.7, nesterov=True),
        "sgd": lambda: torch.optim.SGD(groups, _LR),
        "lamb": lambda: Lamb(groups, _LR, betas=(0.8, 0.99), max_grad_norm=None),
        "lars": lambda: Lars(groups, _LR, momentum=0.7, trust_coeff=0.01),
    }[name]()


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("name", ["adamw", "momentum", "nesterov", "sgd", "lamb", "lars"])
def test_the_same_weights(name, zero):
    """Also from weights of 0, where the ratios of LAMB and LARS have no norm to go by."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    layer = paddle.nn.Linear(5, 4)
    start = {"weight": rng.normal(size=(5, 4)) * (not zero), "bias": rng.normal(size=4)}
    layer.set_state_dict({key: value.astype("float32") for key, value in start.items()})
    theirs = {
        key: torch.tensor(value.astype("float32"), requires_grad=True)
        for key, value in start.items()
    }
    config = default.get_config().optim
    config.update(
        name="momentum" if name == "nesterov" else name, nesterov=name == "nesterov", lr=_LR
    )
    config.update(
        momentum=0.7,
        beta1=0.8,
        beta2=0.99,
        lars_coefficient=0.01,
        weight_decay=_DECAY,
        schedule="constant",
    )
    ours, reference = (
        Optimizer(layer, config, _STEPS),
        _reference(name, theirs["weight"], theirs["bias"]),
    )
    for _ in range(_STEPS):
        gradients = {"weight": rng.normal(size=(5, 4)), "bias": rng.normal(size=4)}
        products = [
            (getattr(layer, k) * paddle.to_tensor(g.astype("float32"))).sum()
            for k, g in gradients.items()
        ]
        ours.accumulate(paddle.add_n(products))
        ours.step()
        for key, gradient in gradients.items():
            theirs[key].grad = torch.tensor(gradient.astype("float32"))
        reference.step()
    for key, value in theirs.items():
        np.testing.assert_allclose(
            getattr(layer, key).numpy(), value.detach().numpy(), atol=3e-6, err_msg=key
        )
        assert np.abs(value.detach().numpy() - start[key]).max() > 1e-3
