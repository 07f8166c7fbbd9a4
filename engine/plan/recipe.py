"""`train.recipe`: names the model and its weights, gathers the facts, and fills in the choices.

A run that has begun keeps what was chosen, on any machine and any number of cards.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import paddle
from ml_collections import ConfigDict

import data
import models
from common.errors import UserError
from configs.allowed_values import AUTO
from engine import distributed
from engine.plan.fine_tuning import Choice, Facts, choose
from engine.step.objective import rdrop_loss
from program import paddle_setup, run_folder
from program.config import config_fields, config_validation

_GPU_MODEL, _CPU_MODEL = "deit_s", "deit_ti"  # where neither a model nor weights are given
_SAMPLE = 64  # images whose sizes are looked at
_MOST_PIXELS = 1 << 27  # of them together
_SCRATCH = "train from scratch with --config=configs/folder_small.py"


def resolve(config: ConfigDict, folder: Path | None = None, download: bool = True) -> ConfigDict:
    """Returns the config with all that it leaves to its recipe, which is printed with the reasons.

    Args:
        config: one without a recipe stays as it is.
        folder: of the run, which may exist already; None: a new run.
        download: whether to get weights that the recipe names; False in a dry run.

    Raises:
        UserError: when the model can't be told, its weights can't be had, or what the config sets
            does not go with what is chosen.
    """
    if not config.train.recipe:
        return config
    begun = _begun(config, folder)
    if begun:
        distributed.say("train.recipe=fine_tune: as the run began")
        return begun
    config, choices = _with_model(config, download)
    facts = _facts(config)
    config, chosen = choose(config, facts)
    config, parts = _with_micro_batch(config, facts)
    choices += [*chosen, *parts, *_statistics(config)]
    distributed.say(*_table(choices, facts))
    config_validation.validate(config)
    return config


def _begun(config: ConfigDict, folder: Path | None) -> ConfigDict | None:
    """Returns the config with what was chosen when the run in a folder began; None for a new run.

    The batch of a step stays the same: it is shared by as many cards as there are now. Whether it
    is the same run, `program/run_folder.py` checks later.
    """
    if folder is None or not (folder / run_folder.CONFIG).is_file():
        return None
    before = run_folder.read_config(folder)
    known, left = config_fields.flattened(before), config_fields.to_choose(config)
    values = {name: known[name] for name in left}
    if config.model.name == AUTO:
        values["model.name"] = before.model.name
    if not config.model.pretrained:
        values["model.pretrained"] = before.model.pretrained
    if config.train.micro_batch and not before.train.micro_batch:
        values["train.micro_batch"] = ""
    if {"train.batch_size", "train.reference_batch_size"} <= set(left):
        parts = distributed.world_size() * config.train.accumulation_steps
        values["train.batch_size"] = max(1, before.train.reference_batch_size // parts)
    return config_fields.changed(config, values)


def _with_model(config: ConfigDict, download: bool) -> tuple[ConfigDict, list[Choice]]:
    """Returns the config with a model and its weights, and what was chosen of them."""
    name, source, choices = config.model.name, config.model.pretrained, []
    if name == AUTO and source:
        if download:
            models.locate(source)
        name = models.model_of(source)
        choices.append(Choice("model.name", name, "what the weights are of"))
    elif name == AUTO:
        on_gpu = paddle.get_device() != "cpu"
        name = _GPU_MODEL if on_gpu else _CPU_MODEL
        reason = "small, with published weights" if on_gpu else "the smallest one, on a CPU"
        choices.append(Choice("model.name", name, reason))
    models.native_size(name)  # refuses an unknown name
    if not source:
        source = _published(name, download)
        choices.append(Choice("model.pretrained", source, "the model's published weights"))
    changes = {"model.name": name, "model.pretrained": source}
    return config_fields.changed(config, changes), choices


def _published(name: str, download: bool) -> str:
    """Returns the source of a model's published weights, which are here, or are to be."""
    found = models.published_sources(name)
    if not found:
        raise UserError(
            f"model.pretrained is empty, and {name} has no published weights: give a file by "
            f"--config.model.pretrained=FILE, or {_SCRATCH}"
        )
    try:
        if download:
            models.locate(found[0])
    except UserError as error:
        raise UserError(f"{error} by --config.model.pretrained=FILE, or {_SCRATCH}") from None
    return found[0]


def _facts(config: ConfigDict) -> Facts:
    """Gathers what the rules decide by. The same on all processes that see the same data."""
    name, on_gpu = config.model.name, paddle.get_device() != "cpu"
    can, left = models.abilities(name), config_fields.to_choose(config)
    images, smallest, classes, side = _data_facts(
        config, look="model.image_size" in left and not on_gpu and can.patch > 0
    )
    return Facts(
        images=images,
        smallest_class=smallest,
        classes=classes,
        side=side,
        native_size=models.native_size(name),
        patch=can.patch,
        blocks=can.blocks,
        attention_dropout=can.attention_dropout,
        batch_norms=can.batch_norms,
        on_gpu=on_gpu,
        cards=distributed.world_size(),
        cores=max(1, (os.cpu_count() or 1) // paddle_setup.local_processes()),
        own_validation=data.has_own_val(config),
    )


def _data_facts(config: ConfigDict, look: bool) -> tuple[int, int, int, int]:
    """Returns the numbers of training images, of those of the smallest class, and of classes.

    Also the shorter side of a typical image, if `look` says so. A data set that is known is not
    read.
    """
    stand_ins = {
        "data.holdout": 0.0,
        "data.crop_scale": (1.0, 1.0),
        "model.image_size": models.native_size(config.model.name),
    }
    left = config_fields.to_choose(config)
    stand_ins = {name: value for name, value in stand_ins.items() if name in left}
    probe = config_fields.changed(config, stand_ins)
    entry = data.DATASETS.get(config.data.name)
    if entry and entry.num_classes:
        images, classes = data.facts(probe)
        return images, images // classes, classes, entry.side
    dataset = data.build(probe, "train")
    counts = np.bincount(dataset.source.labels, minlength=len(dataset.classes))
    side = _typical_side(dataset) if look else 0
    return len(dataset), int(counts.min()), len(counts), side


def _typical_side(dataset: data.ImageDataset) -> int:
    """Returns the median of the shorter sides of some images in pixels; 0 if none is readable."""
    sides, pixels = [], 0
    for position in np.linspace(0, len(dataset) - 1, min(_SAMPLE, len(dataset))).astype(int):
        try:
            height, width = dataset.source.images[position].shape[:2]
        except UserError:  # damaged; training says so
            continue
        sides.append(min(height, width))
        pixels += height * width
        if pixels > _MOST_PIXELS:
            break
    return int(np.median(sides)) if sides else 0


def _with_micro_batch(config: ConfigDict, facts: Facts) -> tuple[ConfigDict, list[Choice]]:
    """Returns the config without `train.micro_batch=auto` where it would change the objective."""
    mixes = config.data.mixup_alpha or config.data.cutmix_alpha
    counted = facts.batch_norms or mixes or config.rdrop.unlabelled_batch_size
    if not config.train.micro_batch or not (counted or rdrop_loss(config).sums_kl):
        return config, []
    reason = "the objective depends on the micro-batch"
    choice = Choice("train.micro_batch", "", reason)
    return config_fields.changed(config, {choice.field: ""}), [choice]


def _statistics(config: ConfigDict) -> list[Choice]:
    """Returns the mean and the standard deviation of pixels that the weights expect."""
    name, source = config.model.name, config.model.pretrained
    stated = not models.needs_download(source) and models.stated_input(source) is not None
    stats = models.input_stats(name, source if stated else "")
    reason = "as the weights say"
    if not stated:
        reason = f"usual for {name}: the weights do not say; set it if they expect another"
    return [
        Choice(f"model.{field}", getattr(stats, field), reason)
        for field in ("mean", "std")
        if not config.model[field]
    ]


def _table(choices: list[Choice], facts: Facts) -> list[str]:
    """Returns the choices as a table, one line each."""
    rows = [(one.field, _text(one.value), one.reason) for one in choices]
    if not rows:
        return []
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [
        f"train.recipe=fine_tune, for {facts.images:,} training images of {facts.classes} classes "
        "(--config.FIELD=VALUE sets another value):",
        *(f"  {field:{first}}  {value:{second}}  {reason}" for field, value, reason in rows),
    ]


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "''"
