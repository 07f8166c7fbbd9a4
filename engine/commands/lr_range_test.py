"""The learning rate range test: the rate grows at each step of a real run until the loss diverges.

Source: Smith, arXiv:1506.01186. The curve and what it suggests: `engine/commands/lr_curve.py`.
"""

from __future__ import annotations

import contextlib
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
from engine.plan import micro_batch_size, recipe, resolve_config
from engine.results import console
from engine.results.progress_lines import CountLines
from engine.step.forward import forward
from engine.step.training_batches import FeatureBatch
from engine.trainer import Trainer
from program import run_folder
from program.config import config_fields

JSON, PICTURE = "lr_find.json", "lr_find.png"
_FIXED = {
    "train.epochs": 0.0,
    "train.cache_disk_gb": 0.0,
    "rdrop.alpha_warmup_steps": 0,
    "optim.schedule": "constant",
}
_UNUSED = ("optim.warmup_steps", "optim.milestones", "optim.final_lr")


def find(config: ConfigDict, rates: Sequence[float], folder: Path) -> list[str]:
    """Runs the test on a config, and writes `lr_find.json` and `lr_find.png`.

    Data, model, pretrained weights, objective, accumulation and clipping are those of training.
    Only the rate is the test's, and R-Drop has its full weight from the first step: a weight that
    grows would change the loss, too.

    Args:
        config: checked by `config_validation.validate`; its length, its schedule and its averages
            are not used.
        rates: of the steps.
        folder: for the two files; made if it is missing.

    Returns:
        Lines that say what was found.

    Raises:
        UserError: for what can't be trained, or a folder that is a run's or can't be written.
    """
    trainer = _trainer(config, len(rates), folder)
    _claim(folder)
    batch = trainer.plan.global_batch
    trainer.model.train()
    progress_bar = console.progress_bar(len(rates) * batch)
    with progress_bar as bar, contextlib.closing(trainer.batches()) as batches:
        lines = CountLines("tried", len(rates), "steps") if bar.disable else None

        def train_step(rate: float) -> float:
            bar.update(batch)
            if lines:
                lines(1)
            return _step(trainer, batches, rate)

        curve = range_test(rates, train_step)
    diverged = curve.smoothed[-1] > DIVERGED * min(curve.smoothed)
    stopped_early = len(curve.rates) < len(rates) or diverged
    found = suggest(curve, stopped_early)
    answer = found._asdict()
    content = {"suggestion": answer.pop("lr"), **answer, "stopped_early": stopped_early}
    content = {**content, "global_batch": batch, **curve._asdict()}
    write_json(folder / JSON, {**content, "config": trainer.config.to_dict()})
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
    defaults = config_fields.flattened(default.get_config())
    unused = (*_UNUSED, *(f"average.{name}" for name in config.average))
    changes = {**{name: defaults[name] for name in unused}, **_FIXED, "train.steps": steps}
    config = recipe.resolve(config_fields.changed(config, changes))
    config = resolve_config.with_input(config)
    unlabelled = config.rdrop.unlabelled_batch_size
    train_set = data.build(config, "train")
    unlabelled_set = data.build(config, "unlabelled") if unlabelled else None
    config = resolve_config.with_classes(config, len(train_set.classes))
    config = micro_batch_size.resolve(config, build_model)
    return Trainer(config, data.Splits(train_set, unlabelled=unlabelled_set), folder)


def _step(trainer: Trainer, batches: Iterator[data.Batch | FeatureBatch], rate: float) -> float:
    """Takes a step at a rate.

    Returns:
        The mean loss over its micro-batches before the update; infinite where the gradient is not
        finite.
    """
    optimizer, losses = trainer.optimizer, []
    for micro in range(trainer.config.train.accumulation_steps):
        batch, step = next(batches), optimizer.steps_done
        total = forward(trainer.model, trainer.objective, batch, step, micro).terms.total
        optimizer.accumulate(total)
        losses.append(total.item())
    optimizer.step(rate)
    return math.inf if optimizer.refused else sum(losses) / len(losses)
