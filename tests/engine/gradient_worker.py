"""Writes loss and gradients of one optimiser step, alone or as one of several processes.

gradient_worker.py OUTPUT BATCH ACCUMULATION SHARED_BLOCKS FAMILY [one_by_one] [recompute]
[attention]

The step has dropout, stochastic depth, and half as many images without labels as with labels.
FAMILY is distilled (DeiT), cait or swin, each small. `one_by_one` runs the copies one after the
other, as large models do; `recompute` runs blocks again in the backward pass; `attention` trains
only the attention layers.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from program import paddle_setup

paddle_setup.load_paddle()

import numpy as np
import paddle

import data
import models
from configs import default
from engine import distributed
from engine.model_setup import build_model
from engine.plan import resolve_config
from engine.step.forward import forward
from engine.step.objective import Objective
from engine.step.optimizer import Optimizer
from models import multipass
from models.builders import Head
from models.families.cait import CaiT
from models.families.swin import Swin
from models.layers.dropout import DropRates

_RATES = DropRates(embedding=0.1, attention=0.1, projection=0.1, mlp=0.1, path=0.2)


def step_config(batch: int, accumulation: int, shared_blocks: int):
    """A step of 24 digits on which all kinds of noise and both kinds of images act."""
    config = default.get_config()
    config.data.update(name="digits", crop="none", flip=0.0, labels_per_class=20)
    config.model.update(
        name="vit_n_2_distilled", drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.2
    )
    config.rdrop.update(alpha=3.0, unlabelled_batch_size=batch // 2, shared_blocks=shared_blocks)
    config.train.update(batch_size=batch, accumulation_steps=accumulation)
    return resolve_config.with_classes(resolve_config.with_input(config), 10)


def make_model(config, family: str):
    """The model of the config, or one of PPIM's families for images of 8 pixels."""
    if family == "distilled":
        return build_model(config)
    paddle.seed(config.seed)
    if family == "cait":
        shape = {"patch_size": 2, "embed_dim": 24, "depth": 4, "num_heads": 3, "init_scale": 0.5}
        model = CaiT(8, _RATES, Head(10), **shape)
    else:
        shape = {"patch_size": 1, "embed_dim": 12, "depths": (2, 2), "num_heads": (2, 4)}
        model = Swin(8, _RATES, Head(10), window_size=4, **shape)
    rng = np.random.default_rng(0)
    for (
        parameter
    ) in model.parameters():  # far enough from the first weights that noise shows in the logits
        parameter.set_value(
            (parameter.numpy() + rng.normal(0, 0.1, parameter.shape)).astype("float32")
        )
    model.share_blocks(config.rdrop.shared_blocks)
    return model


def main(
    output: str, batch: int, accumulation: int, shared_blocks: int, family: str, how: set[str]
) -> None:
    """Take the micro-batches of this process's part of the step."""
    distributed.start()
    if "one_by_one" in how:
        multipass._CACHED = 0
    config = step_config(batch, accumulation, shared_blocks)
    model, objective = make_model(config, family), Objective(config)
    if "recompute" in how:
        model.recompute()
    if "attention" in how:
        models.freeze(model, "attention", config.model.image_size)
    optimizer, wrapped = Optimizer(model, config.optim, 1, accumulation), distributed.wrap(model)
    sets = [(data.build(config, "train"), batch), (data.build(config, "unlabelled"), batch // 2)]
    samplers = [data.TrainSampler(one, size, accumulation, 1, seed=0) for one, size in sets]
    loaders = [data.load(one, sampler, workers=0) for (one, _), sampler in zip(sets, samplers)]
    wrapped.train()
    loss = 0.0
    for micro, batch in enumerate(data.join(*loaders)):
        with distributed.gradient_sync(wrapped, due=micro == accumulation - 1):
            terms = forward(wrapped, objective, batch, 0, micro).terms
            optimizer.accumulate(terms.total)
        loss += terms.total.item() / accumulation / distributed.world_size()
    loss = distributed.sum_over_ranks([loss]).item()
    if distributed.is_main():
        trained = {
            name: parameter
            for name, parameter in model.named_parameters()
            if not parameter.stop_gradient
        }
        gradients = {name: parameter.grad.numpy() for name, parameter in trained.items()}
        np.savez(output, loss=loss, kl_unlabelled=terms.parts["kl_unlabelled"].item(), **gradients)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), family=sys.argv[5], how=set(sys.argv[6:]))
