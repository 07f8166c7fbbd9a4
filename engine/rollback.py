"""Rollbacks: a new trainer goes on from the newest checkpoint, at a lower rate.

That is what a kill and the same command would do. The new trainer knows one incident more, which
lowers its rate, and gets the features of the frozen part, if there are any. A kill in the middle
changes nothing: the run comes to the incident again.
"""

from __future__ import annotations

from engine import distributed
from engine.resume import resume
from engine.trainer import Trainer
from engine.watch.nonfinite import Rollback
from program.signals import Stopped


def train(trainer: Trainer) -> tuple[Trainer, bool]:
    """Runs the steps that are left, in as many goes as there are rollbacks.

    Args:
        trainer: of a run, after its resume.

    Returns:
        The trainer of the last go, and whether all steps are done; if not, a stop was requested.
    """
    while True:
        try:
            return trainer, trainer.train()
        except Stopped:  # in a validation; the state before it is saved
            return trainer, False
        except Rollback as rollback:
            incidents = rollback.incidents
        before = trainer
        trainer = Trainer(before.config, before.splits, before.folder, before.stop)
        step, share = resume(trainer, incidents), trainer.optimizer.lr_factor
        trainer.take_features(before)
        text = incidents[-1]["text"]
        distributed.say(f"{text}; back to step {step}, from there at {share:g} of the rate")
