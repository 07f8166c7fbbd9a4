"""`train.micro_batch=auto`: chooses the largest micro-batch that fits into memory.

The images of a card and step are split into such micro-batches.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import paddle
from ml_collections import ConfigDict
from paddle import nn

from common.errors import UserError
from engine import distributed
from engine.plan import free_memory, memory_estimate
from engine.plan.memory_estimate import gigabytes
from engine.plan.memory_rules import PIECES, largest_part
from engine.step.objective import Objective
from program import run_folder
from program.config import config_fields


def resolve(
    config: ConfigDict, make_model: Callable[[ConfigDict], nn.Layer], folder: Path | None = None
) -> ConfigDict:
    """Returns the config with the `train.batch_size` and `accumulation_steps` of the split.

    The split is the same on all processes. A run that has begun keeps its split on any machine, so
    that its bits stay the same.

    Args:
        config: with the model's input and the number of classes filled in.
        make_model: builds the config's model.
        folder: of the run, which may exist already; None: a new run.

    Raises:
        UserError: on all processes, when another split would be another objective, or not even one
            image fits into the memory of one of them.
    """
    train = config.train
    if not train.micro_batch:
        return config
    batch = train.batch_size * train.accumulation_steps
    with distributed.together():
        before = _before(folder) if folder and distributed.is_main() else 0
    part, reason = int(distributed.from_main(before)), "as the run began"
    if not part or batch % part:
        part, reason = _largest(config, make_model, batch)
    distributed.say(
        f"train.micro_batch=auto: {part} images x {batch // part} accumulation for the {batch} of "
        f"a card and step, {reason}"
    )
    return config_fields.changed(
        config, {"train.batch_size": part, "train.accumulation_steps": batch // part}
    )


def _before(folder: Path) -> int:
    """Returns the micro-batch that was chosen when the run in a folder began; 0 for none."""
    if not (folder / run_folder.CONFIG).is_file():
        return 0
    train = run_folder.read_config(folder).train
    return train.batch_size if train.micro_batch else 0


def _largest(
    config: ConfigDict, make_model: Callable[[ConfigDict], nn.Layer], batch: int
) -> tuple[int, str]:
    """Returns the largest micro-batch that fits on all processes, and why."""
    with distributed.together():
        room = free_memory.available()  # before there is a model: the estimate counts its weights
        model = make_model(config)
        if Objective(config).by_micro_batch(model):
            raise UserError(
                "train.micro_batch=auto would change the objective: batch norms, mixing, images "
                "without labels and presets that sum KL depend on the micro-batch; set "
                "train.batch_size and train.accumulation_steps"
            )
        needed = memory_estimate.estimate(model, config)
        if paddle.get_device() == "cpu":
            needed = needed._replace(image=round(PIECES * needed.image))
        sizes = f"{gigabytes(needed.constant)} + {gigabytes(needed.image)}"
        del model
        gc.collect()  # it must not be in memory together with the run's own
        if not needed.fits(room):
            raise UserError(
                f"train.micro_batch=auto: not one image fits: a step needs {sizes} an image "
                "(estimate), 10 % and 1 GB are to stay free, and there are "
                f"{gigabytes(room)}; set train.recompute=true, or a smaller model or image size"
            )
    most, room = min(distributed.rows_of_ranks([needed.fits(room), room]).tolist())
    part = largest_part(batch, int(most))
    return part, f"which fit into {gigabytes(room)} (estimate: {sizes} each)"
