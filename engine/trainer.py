"""The training loop: algorithm 1 of arXiv:2106.14448, with validation, checkpoints and a record of
everything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

import data
import models
from common.atomic_writing import write_json
from common.errors import UserError
from common.files import sha256
from engine import distributed
from engine.model_setup import build_model, load_pretrained
from engine.plan import resolve_config, run_plan
from engine.results import console, curve, run_log
from engine.results.evaluation import Result, evaluate
from engine.results.precise_batch_norm import precise_statistics
from engine.results.training_meter import Meter
from engine.state import checkpoint, checkpoint_writer, run_weights
from engine.state.averages import RAW, Averages
from engine.step import mixed_precision
from engine.step.noise import noise
from engine.step.objective import make_objective
from engine.step.optimizer import Optimizer
from engine.step.teacher import load_teacher
from engine.step.training_batches import TrainingSets, batches
from engine.watch import nonfinite, start_checks
from engine.watch.diagnosis import Diagnosis
from program import run_folder
from program.signals import Stopped, StopRequest


class Trainer:
    """One run, from its config to its result.

    Args:
        config: with what the weights and the data set decide filled in (`plan.with_input`,
            `plan.with_classes`).
        train_set: what `data.build` gives for `train`.
        val_set: likewise for `val`; None where no images are held out.
        unlabelled_set: likewise for `unlabelled`; None where there are none.
        folder: of the run; not touched before `resume` and `train`.
        stop: what may ask the run to stop; None: nothing.
    """

    def __init__(
        self,
        config: ConfigDict,
        train_set,
        val_set,
        unlabelled_set,
        folder: Path,
        stop: StopRequest | None = None,
    ):
        self.config, self.folder, self.stop = config, folder, stop or StopRequest()
        self.train_set, self.val_set, self.unlabelled_set = train_set, val_set, unlabelled_set
        self.sets = TrainingSets(train_set, unlabelled_set)
        self.plan = run_plan.make(config, len(train_set))
        self.model = build_model(config)
        self.pretrained = load_pretrained(self.model, config, train_set.classes)
        start_checks.check_noise(self.model, config)
        start_checks.check_unlabelled(config, unlabelled_set)
        self.teacher = load_teacher(config, train_set.classes)
        self.objective = make_objective(config, self.teacher)
        scaled = resolve_config.with_rate(config, self.plan.global_batch)
        self.averages = Averages(self.model, scaled.average, self.plan)
        accumulation, scaler = (
            config.train.accumulation_steps,
            mixed_precision.loss_scaler(config.train),
        )
        self.optimizer = Optimizer(self.model, scaled.optim, self.plan.steps, accumulation, scaler)
        self.guard = nonfinite.Guard(config, self.model, self.objective, self.optimizer, self.sets)
        self.diagnosis, self.meter = Diagnosis(config, self.plan), Meter()
        self.progress = {
            "step": 0,
            "best_top1": -1.0,
            "best_step": -1,
            "best_of": RAW,
            "seconds": 0.0,
            "skipped": 0,
        }
        self.progress[
            "incidents"
        ] = []  # steps that were left out or went back; see `engine/watch/nonfinite.py`
        self.progress.update(
            global_batch=self.plan.global_batch, micro_batch=config.train.batch_size
        )
        self.progress.update(
            validation_due=False
        )  # of the step that was saved: a stop came before or in it
        if self.teacher:
            self.progress.update(teacher=self.teacher.provenance["sha256"])

    def train(self) -> bool:
        """Run the steps that are left. Gives False when it was asked to stop (after saving), True
        at the end.

        Raises:
            Stopped: when it was asked to before a new state was to be saved.
        """
        config, objective, optimizer, meter = (
            self.config,
            self.objective,
            self.optimizer,
            self.meter,
        )
        model = distributed.wrap(self.model)
        model.train()
        with self._log() as log, self._writer() as writer:
            log.pictures("train/images", self.train_set)
            self.diagnosis.replay(log.records, len(self.val_set or ()))
            if self.progress["validation_due"]:
                self._validate(log)
                self.stop.check()
            self.guard.begin(optimizer.steps_done)
            for batch in self.batches():
                step, micro = optimizer.steps_done, optimizer.micro_batches
                sync = distributed.gradient_sync(model, due=optimizer.last_micro_batch)
                with sync, noise(config, step, micro):
                    images, targets = objective.prepare(
                        batch, step, micro
                    )  # (B, 3, S, S); (B,) or (B, C)
                    logits = model(
                        images, copies=objective.copies(step)
                    )  # (m, B, C): m dropout masks, one pass
                    terms = objective(logits, targets, step)
                    optimizer.accumulate(terms.total)  # divided by the accumulation steps
                meter.add(
                    terms, objective.predictions(logits, targets, step), batch.labels, batch.skipped
                )
                if not optimizer.step_due:
                    continue

                lr = optimizer.step(self.averages.rate(step))
                if optimizer.refused:  # for its gradient is not finite; no weight has changed
                    self.guard.refused(self.progress, log, meter)
                distributed.average_buffers(self.model)
                step = optimizer.steps_done
                self.averages.update(step, stepped=not optimizer.refused)
                self.guard.begin(step)
                last = step == self.plan.steps
                log.advance(self.plan.global_batch)
                self.progress.update(step=step, seconds=log.seconds)
                if last or step % config.train.log_every_steps == 0:
                    self._record(log, meter.read(), lr)
                    writer.check()
                improved = (
                    self._validate(log) if last or step % self.plan.eval_every == 0 else False
                )
                stopping = self.stop.agreed()
                if improved or last or stopping or step % config.train.checkpoint_every_steps == 0:
                    self._save(log, writer)
                if stopping:
                    return False
        return True

    def restart(self) -> None:
        """Become what a new process would have, ready to `resume`; a request to stop still
        holds.
        """
        self.__init__(
            self.config, self.train_set, self.val_set, self.unlabelled_set, self.folder, self.stop
        )

    def resume(self, incidents: list[dict] | None = None) -> int:
        """Take the newest good checkpoint, if there is one; gives the step to go on from.

        Args:
            incidents: after a rollback, all of the run, the last of which the checkpoint does not
                know.
        """
        state = self._agreed(lambda folder: checkpoint.newest(folder, distributed.say))
        if state:
            self._check_split(state.progress)
            self._check_teacher(state.progress)
            models.assign_all(self.model, state.model, str(self.folder))
            self.averages.load_state(state.averages)
            try:
                self.optimizer.load_state(state.optimizer, state.progress["step"])
                self.meter.load_state(state.progress.pop("meter"))
            except (
                LookupError,
                TypeError,
                ValueError,
                ArithmeticError,
                AssertionError,
                RuntimeError,
            ) as error:
                raise UserError(
                    f"{self.folder}: the newest checkpoint is not one of this run ({error!r})"
                ) from None
            self.progress = {
                **self.progress,
                **state.progress,
                "micro_batch": self.config.train.batch_size,
            }
        if incidents:
            self.progress["incidents"] = [
                *incidents[:-1],
                {**incidents[-1], "back_to": self.progress["step"]},
            ]
        self.optimizer.lr_factor = self.guard.lr_factor(self.progress["incidents"])
        return self.progress["step"]

    def _agreed(self, read: Callable[[Path], checkpoint.State | None]) -> checkpoint.State | None:
        """A checkpoint that the main process chooses out of their folder, the same on all ranks;
        None for none.

        Raises:
            UserError: on all ranks, when one of them can't read it.
        """
        folder = self.folder / run_folder.CHECKPOINTS
        with distributed.together():
            state = read(folder) if distributed.is_main() else None
        step = int(distributed.from_main(state.progress["step"] if state else -1))
        with distributed.together():
            return state if distributed.is_main() or step < 0 else checkpoint.load(folder, step)

    def _check_split(self, before: dict) -> None:
        """Go on with another split into cards and accumulation only where it changes nothing.

        A step is a position in the data as long as the global batch is the same. What is counted by
        micro-batch (images without labels, pairs that are mixed, batch norms, KL as a sum) needs
        the same micro-batch, too.

        Raises:
            UserError: when it was another one before the run was stopped.
        """
        if (global_batch := before.get("global_batch")) != self.plan.global_batch:
            raise UserError(
                f"{self.folder}: the run had a global batch of {global_batch}, with this number of cards it is "
                f"{self.plan.global_batch}; set train.batch_size and train.accumulation_steps to make it {global_batch}"
            )
        micro_batch = self.config.train.batch_size
        if before.get("micro_batch", micro_batch) != micro_batch and self.objective.by_micro_batch(
            self.model
        ):
            raise UserError(
                f"{self.folder}: the run had train.batch_size={before['micro_batch']}, now it is {micro_batch}; with "
                "this preset, mixing, images without labels or batch norms that is another objective"
            )

    def _check_teacher(self, before: dict) -> None:
        """See that the file of the teacher's weights is still the same: they are not in the
        checkpoint.

        Raises:
            UserError: when it is not.
        """
        if before.get("teacher") != self.progress.get("teacher"):
            raise UserError(
                f"{self.folder}: {self.config.distill.weights} is not the file any more that the run was distilled from"
            )

    def finish(self, test_set) -> dict:
        """Evaluate the best weights (the last, where none are held out) on the test images, and
        write the result.

        Args:
            test_set: what `data.build` gives for `test`.
        """
        progress = self.progress
        step, chosen = progress["step"], self.averages.names(progress["step"])[-1]
        best = self._agreed(self._best) if progress["best_step"] >= 0 else None
        if best:
            step, chosen = progress["best_step"], progress["best_of"]
            models.assign_all(self.model, best.model, str(self.folder))
            self.averages.load_state(best.averages)
        run_weights.check_classes(test_set.classes, self.train_set.classes, "the training images")
        results = {
            name: self._test(name, name == chosen, test_set) for name in self.averages.names(step)
        }
        result = results.pop(chosen)
        distributed.say(*self.diagnosis.test(result))
        outcome = {
            **_measured(result),
            "best_top1": progress["best_top1"] if best else None,
            "step": step,
            "weights_of": chosen,
            "beside": {
                name: {**_measured(other), "weights": run_folder.BESIDE.format(name)}
                for name, other in results.items()
            },
            "images_seen": progress["step"] * self.plan.global_batch,
            "images_skipped": progress["skipped"] + result.skipped,
            **nonfinite.counts(progress["incidents"]),
            "seconds": round(progress["seconds"], 1),
        }
        if distributed.is_main():
            outcome.update(
                weights=run_folder.WEIGHTS, weights_sha256=sha256(self.folder / run_folder.WEIGHTS)
            )
            curve.draw_curve(self.folder)
            write_json(self.folder / run_folder.RESULT, outcome)
            console.show_result(result, outcome, self.folder)
        return outcome

    def _best(self, folder: Path) -> checkpoint.State | None:
        """The state with the best score; None where it is lost: the last stands in."""
        step = self.progress["best_step"]
        try:
            return checkpoint.load(folder, step)
        except UserError as error:
            distributed.say(
                f"warning: the best weights, of step {step}, are lost, the last are used: {error}"
            )
            return None

    def _test(self, name: str, chosen: bool, test_set) -> Result:
        """Evaluate the weights or one of their averages on the test images, and write them down."""
        with self._weights(name):
            if distributed.is_main():
                path = self.folder / (
                    run_folder.WEIGHTS if chosen else run_folder.BESIDE.format(name)
                )
                run_weights.save(
                    path, run_weights.arrays_of(self.model), self.config, test_set.classes
                )
            return evaluate(self.model, test_set, self.config, check=self.stop.check)

    @contextlib.contextmanager
    def _weights(self, name: str) -> Iterator[None]:
        """A context in which the model is as it is evaluated: with its weights or an average, and
        their statistics.
        """
        check = self.stop.check
        with (
            self.averages.installed(name),
            precise_statistics(self.model, self.train_set, self.config, check),
        ):
            yield

    def batches(self) -> Iterator[data.Batch]:
        """The micro-batches of the steps that are left."""
        return batches(
            self.config,
            self.sets,
            self.optimizer.steps_done,
            self.plan.steps,
            self.config.data.workers,
        )

    def _log(self):
        if not distributed.is_main():
            return run_log.Silent()
        step, progress = self.optimizer.steps_done, self.progress
        validated = not progress["validation_due"]
        return run_log.RunLog(
            self.folder, self.plan, step, progress["seconds"], validated, progress["incidents"]
        )

    def _record(self, log, values: dict[str, float], lr: float) -> None:
        """Log training metrics."""
        self.progress["skipped"] += values["skipped"]
        step, values = self.progress["step"], {**values, "lr": lr, **self.optimizer.metrics()}
        log.step(step, values)
        log.findings(step, self.diagnosis.training(step, values))

    def _validate(self, log) -> bool:
        """Evaluate on the held-out images, if there are any; gives whether it was the best so far
        (or as good).
        """
        if self.val_set is None:
            return False
        self.guard.check_state(self.progress, log)
        step, improved = self.progress["step"], False
        self.progress.update(validation_due=True)
        try:
            results = {name: self._evaluate(name) for name in self.averages.names(step)}
        except (
            Stopped
        ):  # what is saved is as it was before, and the resumed run begins with this validation
            return False
        self.progress.update(validation_due=False)
        for name, result in results.items():
            log.validation(step, result, name)
            log.findings(step, self.diagnosis.validation(step, result) if name == RAW else [])
            if result.top1 >= self.progress["best_top1"]:
                self.progress.update(best_top1=result.top1, best_step=step, best_of=name)
                improved = True
        log.restart_rate()
        return improved

    def _evaluate(self, name: str) -> Result:
        """Evaluate the weights or one of their averages on the held-out images."""
        with self._weights(name):
            return evaluate(self.model, self.val_set, self.config, check=self.stop.check)

    def _writer(self) -> checkpoint_writer.Writer:
        train = self.config.train
        folder = self.folder / run_folder.CHECKPOINTS
        return checkpoint_writer.Writer(
            folder,
            train.keep_checkpoints,
            train.stop_unless_saved,
            distributed.say,
            self.stop.saving,
        )

    def _save(self, log, writer: checkpoint_writer.Writer) -> None:
        self.guard.check_state(self.progress, log)
        progress = {**self.progress, "meter": self.meter.state()}
        if distributed.is_main():
            log.sync()
            arrays, averages = run_weights.arrays_of(self.model), self.averages.state()
            writer.save(checkpoint.State(arrays, self.optimizer.state(), progress, averages))
        log.restart_rate()


def _measured(result: Result) -> dict[str, float]:
    return {name: getattr(result, name) for name in ("top1", "top5", "loss", "ece")}
