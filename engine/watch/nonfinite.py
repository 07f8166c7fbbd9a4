"""What happens at a loss, a gradient or a weight that is not finite: stop, skip or roll back.

The optimiser refuses a gradient that is not finite. So no weight has changed when the guard is
asked, and the cause can be found by repeating the step (`nonfinite_cause.py`).
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict
from paddle import Tensor, nn

import models
from common.errors import UserError
from engine.results.run_log import Log
from engine.results.training_meter import Meter
from engine.state.progress import Progress
from engine.step.objective import Objective
from engine.step.optimizer import Optimizer
from engine.step.training_batches import TrainingSets
from engine.watch.nonfinite_cause import find_cause, first_bad
from engine.watch.rank_comparison import check_ranks

_REMEDY = "lower optim.lr, or set optim.clip_norm"
Incident = dict[str, Any]  # step, action, text, seconds; after a rollback also back_to


class Rollback(Exception):
    """The run goes back to its newest checkpoint.

    Args:
        incidents: all of the run so far; the last one is the reason.
    """

    def __init__(self, incidents: list[Incident]):
        super().__init__(incidents[-1]["text"])
        self.incidents = incidents


class Guard:
    """Decides on steps that went wrong: the run stops, leaves the step out, or goes back.

    Args:
        config: of which `train.nonfinite` decides.
        model: not wrapped for several cards.
        objective: of the run.
        optimizer: of the run.
        sets: of which the micro-batches are.
    """

    def __init__(
        self,
        config: ConfigDict,
        model: nn.Layer,
        objective: Objective,
        optimizer: Optimizer,
        sets: TrainingSets,
    ):
        self.config, self.model, self.objective = config, model, objective
        self.optimizer, self.sets = optimizer, sets
        norms = models.batch_norms(model) if config.train.nonfinite == "skip" else []
        self._statistics = [value for norm in norms for value in (norm._mean, norm._variance)]
        self._kept: list[Tensor] = []

    def lr_factor(self, incidents: list[Incident]) -> float:
        """Returns what the rates are multiplied by after the rollbacks so far."""
        return self.config.train.rollback_lr_factor ** counts(incidents)["rollbacks"]

    def begin(self, step: int) -> None:
        """Prepares for a step: compares the ranks where that is due (see `check_ranks`).

        The running statistics of batch norms, which forward passes change, are kept in case the
        step is left out.
        """
        every = self.config.train.check_ranks_every_steps
        if every and step % every == 0:
            self._check_ranks(step)
        self._kept = [value.clone() for value in self._statistics]

    def refused(self, progress: Progress, log: Log, meter: Meter) -> None:
        """Decides on the step that the optimiser has refused, the one after those of `progress`.

        Raises:
            UserError: when the run is to stop; on all ranks.
            Rollback: when it is to go back; on all ranks.
        """
        norm, step = self.optimizer.grad_norm, progress.steps_done
        cause = find_cause(self.config, self.model, self.objective, self.sets, step) or (
            f"the gradient's norm is {norm}, though the loss, all layers and all gradients are "
            "finite"
        )
        self._decide(step + 1, cause, progress, log)
        meter.drop(self.config.train.accumulation_steps)
        for value, kept in zip(self._statistics, self._kept):
            value.set_value(kept)

    def check_state(self, progress: Progress, log: Log) -> None:
        """Checks that the weights are finite and the same on all ranks, before they are used.

        An update by a finite gradient at a far too high rate may leave weights that are not. Such a
        step can't be left out any more.

        Raises:
            UserError: when they are not; on all ranks.
            Rollback: when the run is to go back; on all ranks.
        """
        if self.config.train.check_ranks_every_steps:
            self._check_ranks(progress.steps_done)
        bad = first_bad(self.model.state_dict())
        if bad:
            text = f"{bad} is not finite after the update, though the gradient was"
            self._decide(progress.steps_done, text, progress, log, skippable=False)

    def _check_ranks(self, steps_done: int) -> None:
        check_ranks({**self.model.state_dict(), **self.optimizer.moments()}, steps_done)

    def _decide(
        self, number: int, cause: str, progress: Progress, log: Log, skippable: bool = True
    ) -> None:
        """Stops, goes back, or notes that a step is left out.

        Args:
            number: of the step, counted from 1, as people read it.
            cause: for people.
            progress: of the run; gets the incident of a step that is left out.
            log: is told of it.
            skippable: whether the step can still be left out.
        """
        train, before, text = self.config.train, progress.incidents, f"step {number}: {cause}"
        if train.nonfinite == "skip" and not skippable:
            raise UserError(f"{text}; {_REMEDY}")
        if train.nonfinite == "stop":
            raise UserError(f"{text}; {_REMEDY}; train.nonfinite=skip or rollback would go on")
        if len(before) >= train.nonfinite_limit:
            limit = f"that is one more than train.nonfinite_limit={train.nonfinite_limit}"
            raise UserError(f"{text}; {limit}: {_REMEDY}")
        seconds = round(log.seconds, 3)
        incident = {"step": number, "action": train.nonfinite, "text": text, "seconds": seconds}
        if train.nonfinite == "rollback":
            raise Rollback([*before, incident])
        progress.incidents = [*before, incident]
        log.incident(incident)


def counts(incidents: list[Incident]) -> dict[str, int]:
    """Counts the steps that were left out and the rollbacks of a run, for its result."""
    actions = [incident["action"] for incident in incidents]
    return {"steps_skipped": actions.count("skip"), "rollbacks": actions.count("rollback")}
