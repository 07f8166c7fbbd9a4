"""Whole training steps against PyTorch: the same model, masks, loss and optimiser give the same
weights.
"""

from __future__ import annotations

import functools

import numpy as np
import paddle
import pytest
import pytorch_reference as reference

import models
from configs import default
from engine.step.optimizer import Optimizer
from losses import PRESETS, RDropLoss
from models.layers import dropout

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
_STEPS, _LR, _DECAY = 3, 1e-3, 0.05


def _torch_optimizer(name: str, weights: dict):
    decayed = [
        value
        for key, value in weights.items()
        if value.ndim > 1 and not key.endswith(("pos_embed", "_token"))
    ]
    plain = [value for value in weights.values() if all(value is not other for other in decayed)]
    groups = [{"params": decayed, "weight_decay": _DECAY}, {"params": plain, "weight_decay": 0.0}]
    if name == "adamw":
        return torch.optim.AdamW(groups, _LR, (0.9, 0.999))
    return torch.optim.SGD(groups, _LR, momentum=0.9 if name == "momentum" else 0.0)


def _noted(keep_mask, masks: list[np.ndarray], shape, rate: float, axis: int = 0) -> paddle.Tensor:
    """The mask, and a note of it as a factor."""
    kept = keep_mask(shape, rate, axis)
    masks.append(kept.numpy() * (65536 / (65536 - round(rate * 65536))))
    return kept


@pytest.mark.parametrize("optimizer", ["adamw", "momentum", "sgd"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_three_steps(monkeypatch, preset, optimizer):
    paddle.seed(0)
    rates = {"drop_rate": 0.2, "attn_drop_rate": 0.1, "drop_path_rate": 0.3}
    model = models.create("vit_n_2", num_classes=5, **rates)
    model.blocks[
        0
    ].drop_path.rate = 0.3  # else the first block draws none, and the order of the masks is another
    config = default.get_config().optim
    config.update(name=optimizer, lr=_LR, weight_decay=_DECAY, schedule="constant")
    ours, loss = Optimizer(model, config, _STEPS), RDropLoss(3.0, preset)
    weights = {
        name: torch.tensor(value.numpy().astype(np.float64), requires_grad=True)
        for name, value in model.state_dict().items()
    }
    theirs = _torch_optimizer(optimizer, weights)
    original, rng, smallest = dropout.keep_mask, np.random.default_rng(0), {}
    for _ in range(_STEPS):
        masks = []
        monkeypatch.setattr(dropout, "keep_mask", functools.partial(_noted, original, masks))
        images = rng.normal(0, 1, (6, 3, 8, 8)).astype("float32")
        labels = rng.integers(0, 5, 6)
        total = loss(model(paddle.to_tensor(images), copies=2), paddle.to_tensor(labels)).total
        ours.accumulate(total)
        drawn = [torch.tensor(mask, dtype=torch.float64) for mask in masks]  # 0, or 1 / (1 - rate)
        doubled = torch.tensor(np.concatenate([images, images]), dtype=torch.float64)
        logits = reference.vit(weights, doubled, drawn, depth=4, heads=3)
        expected = reference.loss(preset, logits[:6], logits[6:], torch.tensor(labels), 3.0)
        theirs.zero_grad()
        expected.backward()
        assert total.item() == pytest.approx(expected.item(), rel=2e-6)
        largest = max(value.grad.abs().max().item() for value in weights.values())
        for name, parameter in model.named_parameters():
            found, wanted = parameter.grad.numpy(), weights[name].grad.numpy()
            np.testing.assert_allclose(found, wanted, atol=2e-6 * largest, rtol=0, err_msg=name)
            smallest[name] = np.minimum(smallest.get(name, np.inf), np.abs(wanted))
        ours.step()
        theirs.step()
    for name, parameter in model.named_parameters():
        moved = np.abs(parameter.numpy() - weights[name].detach().numpy())
        # AdamW divides by the root of the squared gradient: one that is hardly more than rounding
        # says little.
        clear = smallest[name] > (1e-2 * largest if optimizer == "adamw" else -1)
        assert moved[clear].max(initial=0) <= 1e-6, name
        assert moved.max() <= 2 * _STEPS * _LR, name
