"""The rules of `train.recipe=fine_tune`: what an expert would set, from the data and the machine.

Nothing is read here, and nothing needs Paddle; `recipe.py` gathers the facts.

Sources: AdamW with rates that fall layer by layer is the fine-tuning of BEiT (arXiv:2106.08254) and
MAE (arXiv:2111.06377), and so are its decays and its rate; warm-up, clipping and SGD's rate are
those of ViT (arXiv:2010.11929), label smoothing is DeiT's (arXiv:2012.12877). A rate moves to
another batch with its root for Adam (arXiv:2205.10287), in proportion for SGD (arXiv:1706.02677).
The place of the noise and the image size on a CPU were measured (docs/recipes.md); the bounds of
lengths, batches and hold-outs are this project's own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ml_collections import ConfigDict

from common.errors import UserError
from program.config import config_fields

_HELD_OUT, _LEAST_HELD_OUT, _MOST_HELD_OUT = 0.1, 50, 10_000  # a share; images
_SMALLEST_CLASS = 5  # images; a tenth may be all of fewer
_LEAST_PATCHES = 8  # of a side, on a CPU
_STEPS, _LEAST_STEPS = 100, 4  # of an epoch: where the batch may choose, and at least
_GPU_BATCH, _CPU_BATCH = (16, 512), (16, 64)  # smallest and largest
_EPOCHS, _FEW, _LEAST_EPOCHS = 30, 100, 5  # of so few images; of many
_CPU_IMAGES, _LEAST_CPU_EPOCHS = 4_000, 3  # images that a run on a CPU sees; of many
_WARMUP, _MOST_WARMUP = 0.1, 500  # a share of the run; steps
_FEW_BLOCKS = 12
_NOISE = 0.1
_MOST_WORKERS = 8


class Facts(NamedTuple):
    """What the rules decide by.

    Attributes:
        images: number of training images, before any are held out.
        smallest_class: number of images in it.
        classes: how many there are.
        side: shorter side of a typical image in pixels; 0: not known, or not needed.
        native_size: side of the images that the model is made for, in pixels.
        patch: side of a patch, any multiple of which may be the image size; 0: native only.
        blocks: how many blocks the model is made of; 0: it is not.
        attention_dropout: whether the model has dropout of its attention weights.
        batch_norms: whether the model may have batch norms.
        on_gpu: whether the device is a GPU.
        cards: number of processes that train together.
        cores: of the processor, for each process.
        own_validation: whether the data has a validation part of its own.
    """

    images: int
    smallest_class: int
    classes: int
    side: int
    native_size: int
    patch: int
    blocks: int
    attention_dropout: bool
    batch_norms: bool
    on_gpu: bool
    cards: int
    cores: int
    own_validation: bool = False


class Choice(NamedTuple):
    """A field, the value that was chosen, and why."""

    field: str
    value: object
    reason: str


_Chosen = dict[str, tuple[object, str]]  # values and their reasons by the names of fields


class _Rates(NamedTuple):
    """Peak learning rates for 512 images, and what goes with them."""

    by_layer: float  # rates fall layer by layer
    same: float  # one rate for all layers
    head: float  # nothing below the head is trained
    power: float  # of the batch, with which the rate grows
    weight_decay: float


_USUAL_BATCH = 512
_RATES = {
    "adamw": _Rates(1.4e-3, 1e-4, 1e-2, power=0.5, weight_decay=0.05),
    "momentum": _Rates(0.06, 0.03, 0.3, power=1.0, weight_decay=0.0),
    "sgd": _Rates(0.6, 0.3, 3.0, power=1.0, weight_decay=0.0),
}


def choose(config: ConfigDict, facts: Facts) -> tuple[ConfigDict, list[Choice]]:
    """Chooses the fields that a config leaves to the recipe.

    Args:
        config: what it sets stays as it is, and the other choices go by it.
        facts: of the data, the model and the machine.

    Returns:
        The config with nothing left to the recipe, and the choices in order.

    Raises:
        UserError: when there is no usual rate for the optimiser.
    """
    choices = []
    for rule in _RULES:
        for name, (value, reason) in rule(config, facts).items():
            if name in config_fields.to_choose(config):
                config = config_fields.changed(config, {name: value})
                choices.append(Choice(name, value, reason))
    return config, choices


def _size(config: ConfigDict, facts: Facts) -> _Chosen:
    native, patch, side = facts.native_size, facts.patch, facts.side
    wanted = math.ceil(max(side, _LEAST_PATCHES * patch) / (patch or 1)) * patch
    if facts.on_gpu or not side or not patch or wanted >= native:
        return {"model.image_size": (native, "what the model was made for")}
    cost = (native / wanted) ** 2
    reason = (
        f"a CPU, and images of {side} px; the model's own {native} would cost {cost:.1f} times as "
        "much"
    )
    return {"model.image_size": (wanted, reason)}


def _holdout(config: ConfigDict, facts: Facts) -> _Chosen:
    held_out, share = min(round(facts.images * _HELD_OUT), _MOST_HELD_OUT), 0.0
    if facts.own_validation:
        reason = "the data has a validation part of its own"
    elif held_out < _LEAST_HELD_OUT:
        reason = f"a tenth of {facts.images} images is too few to pick weights by: the last count"
    elif facts.smallest_class < _SMALLEST_CLASS:
        reason = f"a class has only {facts.smallest_class} images, and training needs them"
    else:
        share, reason = held_out / facts.images, f"{held_out} images pick the best weights"
    return {"data.holdout": (share, reason)}


def _batch(config: ConfigDict, facts: Facts) -> _Chosen:
    images = _training_images(config, facts)
    smallest, largest = _GPU_BATCH if facts.on_gpu else _CPU_BATCH
    wanted = min(max(smallest, images / _STEPS), largest, images / _LEAST_STEPS)
    batch = 2 ** int(math.log2(max(1, wanted)))
    card = max(1, batch // (facts.cards * config.train.accumulation_steps))
    return {"train.batch_size": (card, f"a card; {batch} a step for {images} training images")}


def _reference(config: ConfigDict, facts: Facts) -> _Chosen:
    return {"train.reference_batch_size": (_global_batch(config, facts), "the images of a step")}


def _length(config: ConfigDict, facts: Facts) -> _Chosen:
    if config.train.steps:
        return {"train.epochs": (0.0, "train.steps is given")}
    images = _training_images(config, facts)
    epochs = max(_LEAST_EPOCHS, _EPOCHS * min(1.0, math.sqrt(_FEW / images)))
    reason = f"{_EPOCHS} of up to {_FEW} images, fewer of more, by the root of their number"
    affordable = max(_LEAST_CPU_EPOCHS, _CPU_IMAGES / images)
    if not facts.on_gpu and affordable < epochs:
        epochs = affordable
        reason = f"a CPU: about {_CPU_IMAGES:,} images in all, at least {_LEAST_CPU_EPOCHS} epochs"
    return {"train.epochs": (float(round(epochs)), reason)}


def _warmup(config: ConfigDict, facts: Facts) -> _Chosen:
    images, batch = _training_images(config, facts), _global_batch(config, facts)
    steps = config.train.steps or max(1, round(config.train.epochs * images / batch))
    warmup = max(1, min(round(_WARMUP * steps), _MOST_WARMUP))
    return {"optim.warmup_steps": (warmup, f"a tenth of {steps} steps, at most {_MOST_WARMUP}")}


def _layers(config: ConfigDict, facts: Facts) -> _Chosen:
    decay, reason = 1.0, "one rate for all"
    if config.model.trainable.startswith("head"):
        reason = f"model.trainable={config.model.trainable}"
    elif not facts.blocks:
        reason = "the model is not made of blocks"
    elif config.optim.name == "adamw":
        decay = 0.65 if facts.blocks <= _FEW_BLOCKS else 0.75
        reason = f"{facts.blocks} blocks: the first ones hardly change (BEiT, MAE)"
    return {"optim.layer_decay": (decay, reason)}


def _rate(config: ConfigDict, facts: Facts) -> _Chosen:
    optim, batch = config.optim, _global_batch(config, facts)
    if optim.name not in _RATES:
        known = ", ".join(_RATES)
        if {"optim.lr", "optim.weight_decay"} & set(config_fields.to_choose(config)):
            raise UserError(
                f"train.recipe=fine_tune has no rate for optim.name={optim.name}, only for "
                f"{known}: set optim.lr and optim.weight_decay"
            )
        return {}
    usual = _RATES[optim.name]
    kind = "by_layer" if optim.layer_decay < 1 else "same"
    kind = "head" if config.model.trainable.startswith("head") else kind
    base, growth = getattr(usual, kind), "by the root of" if usual.power < 1 else "in proportion to"
    rate = float(f"{base * (batch / _USUAL_BATCH) ** usual.power:.2g}")
    reason = f"{optim.name}: {base:g} for {_USUAL_BATCH} images, {growth} the batch"
    decay = "usual in fine-tuning with " + optim.name
    return {"optim.lr": (rate, reason), "optim.weight_decay": (usual.weight_decay, decay)}


def _noise(config: ConfigDict, facts: Facts) -> _Chosen:
    """One place of noise that R-Drop can compare; none for a single pass."""
    model, left = config.model, config_fields.to_choose(config)
    given = {"model.drop_rate", "model.attn_drop_rate"} - set(left)
    places = ("embed_drop_rate", "proj_drop_rate", "mlp_drop_rate", "drop_path_rate")
    noisy = any(model[place] > 0 for place in places) or any(config.rdrop.drop_rates)
    if noisy or any(model[name.partition(".")[2]] > 0 for name in given):
        none = (0.0, "the config has other noise")
        return {"model.attn_drop_rate": none, "model.drop_rate": none}
    if config.rdrop.copies == 1:
        none = (0.0, "one pass: noise costs a pretrained model more than it gives")
        return {"model.attn_drop_rate": none, "model.drop_rate": none}
    if facts.attention_dropout and "model.attn_drop_rate" not in given:
        return {
            "model.attn_drop_rate": (_NOISE, "R-Drop's noise, where pretrained weights bear it"),
            "model.drop_rate": (0.0, "elsewhere it would spoil the pretrained weights"),
        }
    return {
        "model.attn_drop_rate": (0.0, "the model has none"),
        "model.drop_rate": (_NOISE, "R-Drop's noise, without which it would do nothing"),
    }


def _rest(config: ConfigDict, facts: Facts) -> _Chosen:
    workers = min(_MOST_WORKERS, facts.cores) if facts.on_gpu else 0
    return {
        "data.crop_scale": ((0.35, 1.0), "parts that still show what is on the image"),
        "loss.label_smoothing": (0.1, "usual (DeiT)"),
        "optim.clip_norm": (1.0, "usual in fine-tuning (ViT)"),
        "data.workers": (workers, "a GPU must not wait" if workers else "the CPU trains"),
    }


def _training_images(config: ConfigDict, facts: Facts) -> int:
    return facts.images - round(facts.images * config.data.holdout)


def _global_batch(config: ConfigDict, facts: Facts) -> int:
    return config.train.batch_size * facts.cards * config.train.accumulation_steps


# In an order in which each finds what it depends on.
_RULES = (
    _size,
    _holdout,
    _batch,
    _reference,
    _length,
    _warmup,
    _layers,
    _rate,
    _noise,
    _rest,
)
