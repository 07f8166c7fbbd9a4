"""The learning rate range test: the rate grows at each step of a real run until the loss
diverges.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from ml_collections import ConfigDict

import data
from common.atomic_writing import write_json
from common.errors import UserError
from configs import default
from engine.commands.lr_curve import DIVERGED, describe, draw, range_test, suggest
from engine.model_setup import build_model
from engine.plan import micro_batch_size, resolve_config
from engine.results import console
from engine.step.noise import noise
from engine.trainer import Trainer
from program import config_fields, run_folder

JSON, PICTURE = "lr_find.json", "lr_find.png"


def find(config: ConfigDict, rates: Sequence[float], folder: Path) -> list[str]:
    """Run the test on a config, write `lr_find.json` and `lr_find.png`, and give the lines that say
    what was found.

    Everything is as in training: data, model, pretrained weights, objective, accumulation,
    clipping. Only the rate is the test's, and R-Drop has its full weight from the first step: a
    weight that grows would change the loss, too.

    Args:
        config: checked by `validation.validate`; its length, its schedule and its averages are not
            used.
        rates: of the steps.
        folder: for the two files; made where it is not there.

    Raises:
        UserError: for what can't be trained, or a folder that is a run's or can't be written.
    """
    trainer = _trainer(config, len(rates), folder)
    _claim(folder)
    batch = trainer.plan.global_batch
    with console.progress_bar(len(rates) * batch) as bar:

        def train_step(rate: float) -> float:
            bar.update(batch)
            return steps.send(rate)

        steps = _steps(trainer)
        next(steps)
        curve = range_test(rates, train_step)
    stopped_early = len(curve.rates) < len(rates) or curve.smoothed[-1] > DIVERGED * min(
        curve.smoothed
    )
    found = suggest(curve, stopped_early)
    answer = found._asdict()
    content = {
        "suggestion": answer.pop("lr"),
        **answer,
        "stopped_early": stopped_early,
        "global_batch": batch,
    }
    write_json(folder / JSON, {**content, **curve._asdict(), "config": trainer.config.to_dict()})
    draw(curve, found, folder / PICTURE)
    reference = trainer.config.train.reference_batch_size
    return [*describe(curve, found, len(rates), batch, reference), f"curve: {folder / PICTURE}"]


def _claim(folder: Path) -> None:
    if (folder / run_folder.CONFIG).is_file():
        raise UserError(f"--output: {folder} is the folder of a run; give another one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output: {folder} can't be written ({error.strerror})") from None


def _trainer(config: ConfigDict, steps: int, folder: Path) -> Trainer:
    fixed = {
        "train.steps": steps,
        "train.epochs": 0.0,
        "rdrop.alpha_warmup_steps": 0,
        "optim.schedule": "constant",
    }
    unused = (
        "optim.warmup_steps",
        "optim.milestones",
        "optim.final_lr",
        *(f"average.{name}" for name in config.average),
    )
    defaults = config_fields.flattened(default.get_config())
    config = resolve_config.with_input(
        config_fields.changed(config, {**{name: defaults[name] for name in unused}, **fixed})
    )
    train_set = data.build(config, "train")
    unlabelled_set = (
        data.build(config, "unlabelled") if config.rdrop.unlabelled_batch_size else None
    )
    config = micro_batch_size.resolve(
        resolve_config.with_classes(config, len(train_set.classes)), build_model
    )
    return Trainer(config, train_set, None, unlabelled_set, folder)


def _steps(trainer: Trainer) -> Iterator[float]:
    """Takes the rate of each step by `send`, and gives its loss, the mean over micro-batches before
    the update.

    It is infinite where the gradient is not finite.
    """
    objective, optimizer, losses = trainer.objective, trainer.optimizer, []
    trainer.model.train()
    rate = yield 0.0
    for batch in trainer.batches():
        step, micro = optimizer.steps_done, optimizer.micro_batches
        with noise(trainer.config, step, micro):
            images, targets = objective.prepare(batch, step, micro)
            terms = objective(trainer.model(images, copies=objective.copies(step)), targets, step)
            optimizer.accumulate(terms.total)
        losses.append(terms.total.item())
        if optimizer.step_due:
            optimizer.step(rate)
            rate = yield math.inf if optimizer.refused else sum(losses) / len(losses)
            losses = []
