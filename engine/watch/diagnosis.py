"""Warns as an expert would: at the start of a run from its config, later from its metrics.

Nothing here changes a run. Each kind of finding comes once. The rules are in `start_warnings.py`
and `metric_rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from engine.plan.resolve_config import with_rate
from engine.plan.run_plan import Plan
from engine.results.evaluation import Result
from engine.watch import metric_rules, start_warnings
from engine.watch.metric_history import History

# Kinds of findings that explain another one, which is then not told.
_EXPLAINED = {"collapse": "chance", "chance": "collapse", "labels": "overfitting"}


class Finding(NamedTuple):
    """One line for people that begins with `warning:`, and its kind, a word."""

    kind: str
    text: str


class Diagnosis:
    """The rules, and what is remembered of a run.

    Args:
        config: with what the weights and the data set decide filled in.
        plan: of the run.
    """

    def __init__(self, config: ConfigDict, plan: Plan):
        self.config, self.plan = config, plan
        self._history = History(config, plan)
        self._told: set[str] = set()

    def start(self) -> list[str]:
        """Returns lines about what the config alone shows."""
        config = with_rate(self.config, self.plan.global_batch)
        return [
            f"warning: {text}" for rule in start_warnings.RULES for text in rule(config, self.plan)
        ]

    def replay(self, records: Sequence[dict[str, Any]], validation_images: int) -> None:
        """Remembers what was told before a resume.

        Args:
            records: those of `metrics.jsonl`.
            validation_images: number of held-out images.
        """
        for record in records:
            if record["split"] == "train":
                self.training(record["step"], record)
            elif record["split"] == "val":
                result = SimpleNamespace(top1=record["top1"], seen=validation_images)
                self.validation(record["step"], result)

    def training(self, steps_done: int, values: dict[str, float]) -> list[Finding]:
        """Looks at a record of training metrics.

        Args:
            steps_done: number of optimiser steps at its end.
            values: `ce`, `accuracy`, `grad_norm` if the last step was taken, and `kl` if there were
                R-Drop steps. There is no `ce` if all steps were left out.
        """
        if "ce" not in values:
            return []
        self._history.add(steps_done, values)
        return self._findings(metric_rules.TRAINING)

    def validation(self, steps_done: int, result: Result | SimpleNamespace) -> list[Finding]:
        """Looks at a validation.

        Args:
            steps_done: number of optimiser steps before it.
            result: has `top1`, a fraction, and `seen`, the number of images.
        """
        history = self._history
        if not history.records:
            return []
        history.validations.append(history.validation(steps_done, result.top1, result.seen))
        return self._findings(metric_rules.VALIDATION)

    def test(self, result: Result) -> list[str]:
        """Returns lines about the result on the test images; see `validation`."""
        history = self._history
        if not history.records:
            return []
        found = history.validation(0, result.top1, result.seen)
        return [f"warning: {t}" for t in metric_rules.labels_differ(history, found, "the test")]

    def _findings(self, rules: Mapping[str, Callable[[History], Iterator[str]]]) -> list[Finding]:
        """Returns what the rules find that was not told before; with one class there is nothing."""
        found = []
        for kind, rule in rules.items():
            if kind not in self._told and self._history.classes > 1:
                for text in rule(self._history):
                    self._told |= {kind, _EXPLAINED.get(kind, kind)}
                    found.append(Finding(kind, f"warning: {text}"))
        return found
