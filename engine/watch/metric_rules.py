"""Rules about the metrics of a run. Each rule yields its warning, if there is one.

A rule speaks where a cause is likely, and is silent where noise could explain the metrics: the mean
of a record over n images is taken to spread by 1 / sqrt(n) of itself.
"""

import math
from collections.abc import Iterator

import numpy as np

from engine.step.objective import rdrop_loss
from engine.watch import remedies
from engine.watch.metric_history import HALF, SIGMAS, WINDOW, History, Validation

_NEAR_UNIFORM = 0.02  # relative distance of the cross-entropy from ln(classes)
_NO_KL, _NO_KL_RECORDS = 1e-7, 3  # relative to the cross-entropy
_COLLAPSED_KL = 1e-3  # relative to the cross-entropy
_HEAVY_ALPHA = 10  # per sample, from which the weight of KL is the first suspect
_BOUNCE, _RISE = 0.2, 0.5  # relative to the level of the cross-entropy
_LEAST_RISE = 0.1  # relative to the cross-entropy of guessing
_OVERFIT_GAP, _OVERFIT_VALIDATIONS = 0.25, 3
_CLIPPED = 20  # times clip_norm


def _lower_rate(history: History) -> str:
    optim = history.config.optim
    clip = "" if optim.clip_norm else " with --config.optim.clip_norm=1.0"
    rate = remedies.lower_rate(history.config, history.plan.global_batch)
    return f"--config.optim.lr={rate}{clip} (python -m tools.lr_find searches for a rate)"


def rising(history: History) -> Iterator[str]:
    if len(history.records) < HALF:
        return
    ces, level = [record.ce for record in history.records], history.level()
    untrained = history.uniform if history.config.loss.form == "softmax" else math.log(2)
    best = min(history.lowest, untrained)
    share = max(_RISE, 2 * history.noise())  # noise at both ends
    small = level < best + max(share * best, _LEAST_RISE * untrained)
    if not (small or np.median(ces[-3:]) < np.median(ces[:3])):
        seen = f"has risen to {level:.3g} from {best:.3g}"
        if best == untrained:
            seen = f"is {level:.3g}, above the {best:.3g} of guessing"
        yield f"the cross-entropy {seen}: the run diverges; use {_lower_rate(history)}"


def bouncing(history: History) -> Iterator[str]:
    warmup = history.config.optim.warmup_steps
    ces = np.array([record.ce for record in history.records if record.steps_done > warmup])
    if len(ces) < WINDOW:
        return
    level, swing = float(np.median(ces)), float(np.median(np.abs(np.diff(ces))))
    falls = np.median(ces[HALF:]) < 0.98 * np.median(ces[:HALF])
    calm = swing < max(_BOUNCE, history.noise()) * level
    if not (falls or calm or level < 0.5 * history.uniform):
        yield (
            f"the cross-entropy swings by {100 * swing / level:.0f} % from record to record around "
            f"{level:.3g} and does not fall: the rate is too high for {history.plan.global_batch} "
            f"images a step; use {_lower_rate(history)}"
        )


def collapse(history: History) -> Iterator[str]:
    kls, level = [one.kl for one in history.records if one.kl is not None], history.level()
    uniform = abs(level / history.uniform - 1) < _NEAR_UNIFORM
    if not kls or not uniform or max(kls[-HALF:]) > _COLLAPSED_KL * level:
        return
    if history.at_chance() is not None:
        config, remedy = history.config, f"the rate is too high; use {_lower_rate(history)}, then"
        if rdrop_loss(config).per_sample_alpha(config.train.batch_size) > _HEAVY_ALPHA:
            remedy = "KL outweighs the labels; use"
        yield (
            f"all predictions are alike: cross-entropy {level:.3g}, by guessing "
            f"{history.uniform:.3g}, KL {kls[-1]:.1g}: {remedy} "
            f"--config.rdrop.alpha={remedies.lower_alpha(config)} or rdrop.alpha_warmup_steps"
        )


def chance(history: History) -> Iterator[str]:
    accuracy = history.at_chance()
    if accuracy is not None:
        far = f"is far off, use {_lower_rate(history)}"
        if higher := remedies.higher_rate(history.config, history.plan.global_batch):
            far = f"is far too low, use --config.optim.lr={higher}"
        yield (
            f"training accuracy is {100 * accuracy:.2f} % after {history.records[-1].steps_done} "
            f"steps, by chance it is {100 / history.classes:.2f} %: nothing is learned. Either the "
            f"rate {far}; or the labels do not belong to the images, look at train/images in "
            "VisualDL"
        )


def no_kl(history: History) -> Iterator[str]:
    found = [(one.kl, one.ce) for one in history.records if one.kl is not None][-_NO_KL_RECORDS:]
    zero = all(kl < _NO_KL * ce for kl, ce in found)
    # KL of a new head begins at 0.
    learned = all(ce < (1 - _NEAR_UNIFORM) * history.uniform for _, ce in found)
    enough = history.config.rdrop.copies > 1 and len(found) == _NO_KL_RECORDS
    if enough and zero and learned:
        yield (
            f"KL between the copies is {found[-1][0]:.1g} beside a cross-entropy of "
            f"{found[-1][1]:.3g}: nothing random tells them apart, and this is plain "
            "cross-entropy at the price of R-Drop; set --config.model.drop_rate=0.1 (the paper's), "
            "or --config.rdrop.copies=1"
        )


def clipped(history: History) -> Iterator[str]:
    clip, norms = history.config.optim.clip_norm, [one.grad_norm for one in history.records]
    if clip and len(norms) == WINDOW and not min(norms) <= _CLIPPED * clip:
        norm = float(np.median(norms))
        yield (
            f"the gradient's norm is {norm:.3g}, {norm / clip:.0f} times optim.clip_norm={clip:g} "
            "at every record: clipping, not the gradient, makes the length of each step; look at "
            "the loss's scale (rdrop.preset, rdrop.alpha), or set "
            f"--config.optim.clip_norm={norm:.2g} with a lower optim.lr"
        )


def labels_differ(history: History, found: Validation, part: str) -> Iterator[str]:
    bound, trained = history.chance_bound(found.seen), found.train_at_least
    if not (found.top1 > min(bound, 0.5 * trained) or trained < bound + 0.1):
        yield (
            f"training accuracy is {100 * found.train_accuracy:.1f} %, but {part} is at chance "
            f"({100 * found.top1:.1f} %, by chance {100 / history.classes:.1f} %): the labels of "
            "the two parts do not mean the same (another order of classes, or shuffled), or "
            "evaluation prepares images in another way; compare the classes' folders or lists, "
            "and data.eval_crop"
        )


def labels(history: History) -> Iterator[str]:
    last = history.validations[-2:]
    texts = [text for one in last for text in labels_differ(history, one, "validation")]
    yield from texts[1:]  # when both differ


def overfitting(history: History) -> Iterator[str]:
    last = history.validations[-_OVERFIT_VALIDATIONS:]
    before = history.validations[:-_OVERFIT_VALIDATIONS]
    if not before:
        return
    best = max(before, key=lambda one: one.top1)
    gap = min(one.train_accuracy - one.top1 for one in last)
    variance = 0.25 / max(last[-1].seen, 1) + 0.25 / last[-1].train_images
    least = max(_OVERFIT_GAP, SIGMAS * math.sqrt(variance))
    if gap >= least and max(one.top1 for one in last) <= best.top1:
        more = remedies.more_regularisation(history.config)
        more = f"{more}, model.drop_rate, data.*" if more else "model.drop_rate, data.*"
        yield (
            f"training accuracy is {100 * last[-1].train_accuracy:.1f} %, validation "
            f"{100 * last[-1].top1:.1f} %, no better than the {100 * best.top1:.1f} % of step "
            f"{best.steps_done}: the model overfits; the best weights are kept. Regularise more "
            f"({more}), or train no longer "
            f"(--config.train.steps={best.steps_done})"
        )


TRAINING = {
    "rising": rising,
    "bouncing": bouncing,
    "collapse": collapse,
    "chance": chance,
    "no_kl": no_kl,
    "clipped": clipped,
}
VALIDATION = {"labels": labels, "overfitting": overfitting}
