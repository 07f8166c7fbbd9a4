"""How far a run is: the content of `progress.json` in each checkpoint, checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from common.errors import UserError
from common.reading import is_number
from engine.state.averages import EMA, RAW, SWA

_LARGEST_STEP = 1 << 63


@dataclass
class Progress:
    """What a run goes on from, in addition to its arrays.

    In the file `steps_done` is called `step`. A file of an earlier version may lack fields.
    """

    steps_done: int = 0
    global_batch: int = 0  # images of an optimiser step
    micro_batch: int = 0  # images of a card in one forward pass; 0: not known
    best_top1: float = -1.0  # on the held-out images, a fraction
    best_step: int = -1  # the step of the best score; -1: none yet
    best_of: str = RAW  # whose score it is: raw, ema or swa
    seconds: float = 0.0  # of training
    skipped: int = 0  # damaged images that were replaced
    validation_due: bool = False  # a stop came before or in the validation of this step
    teacher: str = ""  # SHA-256 of the teacher's weights
    # The images whose features are cached: train, unlabelled, val; None: not decided yet.
    cached: list[str] | None = None
    # Of each split: its classes, the number of its images, and a hash of their list; {}: not known.
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    incidents: list[dict[str, Any]] = field(default_factory=list)  # see engine/watch/nonfinite.py
    meter: dict[str, list[Any]] = field(default_factory=dict)  # metrics since the last record

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `progress.json`."""
        content = asdict(self)
        return {"step": content.pop("steps_done"), **content}

    @classmethod
    def from_json(cls, content: object, step: int, origin: object) -> Progress:
        """Returns the progress that a file holds.

        Args:
            content: what JSON made of the file.
            step: of the checkpoint.
            origin: the checkpoint's folder, for the message.

        Raises:
            UserError: when it is of another step, or a field is of another type.
        """
        if not isinstance(content, Mapping) or not _is_progress(content, step):
            raise UserError(
                f"{origin}: not a whole checkpoint (progress.json is not that of step {step})"
            )
        known = {one.name for one in fields(cls)}
        kept = {name: value for name, value in content.items() if name in known}
        return cls(**{**kept, "steps_done": content["step"]})


def _is_progress(content: Mapping[str, Any], step: int) -> bool:
    numbers = ("global_batch", "micro_batch", "best_top1", "best_step", "seconds", "skipped")
    incidents = content.get("incidents", [])
    return (
        _is_step(content.get("step"))
        and content["step"] == step
        and all(is_number(content.get(name, 0)) for name in numbers)
        and content.get("best_of", RAW) in (RAW, EMA, SWA)
        and isinstance(content.get("validation_due", False), bool)
        and isinstance(content.get("teacher", ""), str)
        and _is_cached(content.get("cached"))
        and is_data(content.get("data", {}))
        and isinstance(incidents, list)
        and all(map(_is_incident, incidents))
    )


def is_data(found: object) -> bool:
    """Returns whether it is what a run knows of its data."""
    return isinstance(found, dict) and all(map(_is_split, found.values()))


def _is_cached(found: object) -> bool:
    return found is None or (isinstance(found, list) and all(isinstance(one, str) for one in found))


def _is_split(found: object) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("classes"), list)
        and all(isinstance(name, str) for name in found["classes"])
        and _is_step(found.get("images"))
        and isinstance(found.get("sha256"), str)
    )


def _is_incident(found: object) -> bool:
    """Whether it has what other files rely on: action, step, text."""
    return (
        isinstance(found, dict)
        and found.get("action") in ("skip", "rollback")
        and isinstance(found.get("text"), str)
        and _is_step(found.get("step"))
        and _is_step(found.get("back_to", 0))
    )


def _is_step(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST_STEP
