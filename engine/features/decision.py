"""Decides whether the output of a frozen body is cached: it must stay the same, come again, fit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict
from paddle import nn

import models
from common.errors import UserError
from common.reading import nearest_existing
from data.augment.transforms import TrainTransform
from engine import distributed
from engine.plan import free_memory
from engine.plan.memory_estimate import gigabytes
from engine.plan.run_plan import Plan
from engine.step.objective import Objective

TRAIN, UNLABELLED, VAL = "train", "unlabelled", "val"
_FROZEN = ("head", "head_and_norm")  # of `model.trainable`
# Of the free memory: what a new run takes at most, and a run that goes on as it began.
_SHARE, _SHARE_AGAIN = 0.5, 0.9


class Decision(NamedTuple):
    """What is cached.

    Attributes:
        names: of the sets of images; (): nothing is cached.
        part: of the model, whose output is cached.
        on_disk: whether it is kept in files, not in memory.
        lines: for the start of a run.
    """

    names: tuple[str, ...] = ()
    part: models.FrozenPart = models.FrozenPart()
    on_disk: bool = False
    lines: tuple[str, ...] = ()


def decide(
    model: nn.Layer,
    config: ConfigDict,
    images: dict[str, int],
    plan: Plan,
    folder: Path,
    before: list[str] | None = None,
) -> Decision:
    """Decides what is cached, the same on all processes.

    A run that goes on does what it did before, whatever memory is free now: its bits stay the same.

    Args:
        model: of the config.
        config: a resolved one.
        images: how many there are of `train`, and, where there are any, `unlabelled` and `val`.
        plan: of the run.
        folder: of the run; it may not exist yet.
        before: names of what was cached before the run was stopped; None: it is new.

    Raises:
        UserError: when what was cached before does not fit any more.
    """
    if config.model.trainable not in _FROZEN:
        return Decision()
    reason = next(_reasons(config, images, plan), "")
    if before == [] and not reason:
        reason = "the run was begun without"
    if reason:
        return _none(reason)
    part = models.cut_frozen(model, config.model.image_size)
    if part.why_not:
        return _none(part.why_not)
    needed = {name: count * views(config, name) * part.bytes for name, count in images.items()}
    names, limits = before or [name for name in images if name != VAL], []
    for on_disk in (False, True):
        limits.append(_limit(config, folder, on_disk, before))
        if not _too_much(needed, names, limits[-1]):
            break
    else:
        return _refuse(config, sum(needed[name] for name in names), limits, before)
    if VAL in images and before is None and not _too_much(needed, [*names, VAL], limits[-1]):
        names = [*names, VAL]  # last, because it can do without
    counts = ", ".join(_count(config, name, images[name]) for name in names)
    size, shape = sum(needed[name] for name in names), " x ".join(map(str, part.shape))
    kept = "in the folder of the run" if on_disk else "of memory in each process"
    line = (
        f"features: {_what_runs(part)} once for {counts}; kept: {gigabytes(size)} {kept} "
        f"({shape} numbers a view)"
    )
    return Decision(tuple(names), part, on_disk, (line,))


def views(config: ConfigDict, name: str) -> int:
    """Returns how many different views of an image a run shows; 0: a new one in each epoch.

    Args:
        config: a whole config.
        name: of the set of images.
    """
    if name == VAL or not TrainTransform(config.data, config.model.image_size).random:
        return 1
    return config.data.views * (config.data.repeats if name == TRAIN else 1)


def _reasons(config: ConfigDict, images: dict[str, int], plan: Plan) -> Iterator[str]:
    """Yields why nothing can be cached, without a look at the model."""
    if config.train.cache_features == "off":
        yield "train.cache_features=off"
    if Objective(config).changes_images:
        yield "erasing, mixup and CutMix change the images in each step"
    if config.distill.teacher:
        yield "the teacher sees the images in each step"
    if not views(config, TRAIN):
        yield (
            "each epoch augments the images anew; set data.views to a number of views, or switch "
            "augmentation off (data.crop=test, data.flip=0)"
        )
    micro_batches = distributed.world_size() * config.train.accumulation_steps
    unlabelled = config.rdrop.unlabelled_batch_size * micro_batches
    for name, batch in ((TRAIN, plan.global_batch), (UNLABELLED, unlabelled)):
        shown, different = plan.steps * batch, images.get(name, 0) * views(config, name)
        if shown <= different and name in images:
            yield f"of {different:,} {name} images and views the run shows {shown:,}: none again"


def _limit(config: ConfigDict, folder: Path, on_disk: bool, before: list[str] | None) -> float:
    """Returns the most bytes that this process may take."""
    train, share = config.train, _SHARE_AGAIN if before else _SHARE
    if not on_disk:
        free = free_memory.of_machine()
        return train.cache_gb * 2**30 if train.cache_gb else share * (free or 0)
    allowed, there = train.cache_disk_gb * 2**30, nearest_existing(folder)
    # In a run that goes on, its own files may be there already.
    return allowed if before else min(allowed, share * shutil.disk_usage(there).free)


def _too_much(needed: dict[str, int], names: list[str], limit: float) -> bool:
    """Returns on all ranks whether some sets are too large for any of them."""
    return distributed.any_rank(sum(needed[name] for name in names) > limit)


def _refuse(
    config: ConfigDict, size: int, limits: list[float], before: list[str] | None
) -> Decision:
    """Says that there is too little room.

    Raises:
        UserError: for a run that had enough before.
    """
    fewer = ", fewer data.views take less" if config.data.views > 1 else ""
    reason = (
        f"they take {gigabytes(size)}, of {gigabytes(limits[0])} of memory and "
        f"{gigabytes(limits[1])} of the disk that they may take; train.cache_gb and "
        f"train.cache_disk_gb allow more{fewer}"
    )
    if before:
        raise UserError(f"the run was begun with cached features, but {reason}")
    return _none(reason)


def _what_runs(part: models.FrozenPart) -> str:
    if part.blocks < 0:
        return "all that is in front of the head runs"
    return f"the first {part.blocks} block{'s run' if part.blocks > 1 else ' runs'}"


def _count(config: ConfigDict, name: str, images: int) -> str:
    count = views(config, name)
    return f"{images:,} {name} images" + (f" x {count} views" if count > 1 else "")


def _none(reason: str) -> Decision:
    return Decision(lines=(f"features of the frozen part are not cached: {reason}",))
