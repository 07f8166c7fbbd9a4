"""`train.micro_batch=auto`: split the images of a card and step into the largest micro-batches that
fit into memory.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path

import paddle
from ml_collections import ConfigDict
from paddle import nn

from common.errors import UserError
from engine import distributed
from engine.plan import memory_estimate
from engine.plan.free_memory import available
from engine.plan.memory_estimate import gigabytes
from engine.step.objective import Objective
from program import config_fields, run_folder

# A process on a CPU is larger than what it needs: the C library keeps what is freed, in pieces
# (`program/paddle_setup.py`). See `--keep_freed` of tools/measure/peak_memory.py.
_PIECES = 1.5


def resolve(
    config: ConfigDict, make_model: Callable[[ConfigDict], nn.Layer], folder: Path | None = None
) -> ConfigDict:
    """The config with `train.batch_size` and `train.accumulation_steps` of the split, the same on
    all processes.

    A run that has begun goes on with the split that it began with, wherever that is, so that its
    bits stay the same.

    Args:
        config: with the model's input and the number of classes filled in.
        make_model: gives the config's model.
        folder: of the run, which may be there already; None: it begins.

    Raises:
        UserError: on all processes, where another split would be another objective, or not one
            image fits into the memory of one of them.
    """
    train = config.train
    if not train.micro_batch:
        return config
    batch = train.batch_size * train.accumulation_steps
    with distributed.together():
        before = _before(folder) if folder and distributed.is_main() else 0
    before = int(distributed.from_main(before))
    if before and batch % before == 0:
        part, reason = before, "as the run began"
    else:
        part, reason = _largest(config, make_model, batch)
    distributed.say(
        f"train.micro_batch=auto: {part} images x {batch // part} accumulation for the {batch} of a card and step, "
        f"{reason}"
    )
    return config_fields.changed(
        config, {"train.batch_size": part, "train.accumulation_steps": batch // part}
    )


def _before(folder: Path) -> int:
    """The micro-batch that was found when the run in a folder began; 0 where there is none."""
    if not (folder / run_folder.CONFIG).is_file():
        return 0
    train = run_folder.read_config(folder).train
    return train.batch_size if train.micro_batch else 0


def _largest(
    config: ConfigDict, make_model: Callable[[ConfigDict], nn.Layer], batch: int
) -> tuple[int, str]:
    """The largest micro-batch that fits on all processes, and why."""
    with distributed.together():
        room = available()  # before there is a model, whose weights the estimate counts
        model = make_model(config)
        if Objective(config).by_micro_batch(model):
            raise UserError(
                "train.micro_batch=auto would change the objective: batch norms, mixing, images without labels and "
                "presets that sum KL depend on the micro-batch; set train.batch_size and train.accumulation_steps"
            )
        needed = _needed(model, config)
        del model
        gc.collect()  # it must not stand beside the run's own
        if not needed.fits(room):
            raise UserError(
                f"train.micro_batch=auto: not one image fits: a step needs {gigabytes(needed.constant)} + "
                f"{gigabytes(needed.image)} an image (estimate), 10 % and 1 GB are to stay free, and there are "
                f"{gigabytes(room)}; set train.recompute=true, or a smaller model or image size"
            )
    others = [
        json.loads(text) for text in distributed.exchange(json.dumps([needed.fits(room), room]))
    ]
    most, room = min(others)
    reason = f"which fit into {gigabytes(room)} (estimate: {gigabytes(needed.constant)} + {gigabytes(needed.image)} each)"
    return memory_estimate.largest_part(batch, most), reason


def _needed(model: nn.Layer, config: ConfigDict) -> memory_estimate.Estimate:
    found = memory_estimate.estimate(model, config)
    return (
        found._replace(image=round(_PIECES * found.image))
        if paddle.get_device() == "cpu"
        else found
    )
