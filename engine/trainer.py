"""The training loop: algorithm 1 of arXiv:2106.14448, with validation, checkpoints and a log."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Generator, Iterator
from pathlib import Path

from ml_collections import ConfigDict

import data
from engine import distributed
from engine.features.cache import FeatureCache
from engine.features.decision import TRAIN, UNLABELLED, VAL, Decision, decide
from engine.features.views import Disk, Memory
from engine.model_setup import build_model, load_pretrained
from engine.plan import resolve_config, run_plan
from engine.results.evaluation import Result, evaluate
from engine.results.precise_batch_norm import precise_statistics
from engine.results.run_log import Log, RunLog
from engine.results.training_meter import Meter
from engine.state.averages import RAW, Averages
from engine.state.checkpoint import State
from engine.state.checkpoint_writer import Writer
from engine.state.progress import Progress
from engine.state.run_weights import arrays_of
from engine.step import batch_norm_sync, mixed_precision
from engine.step.forward import forward
from engine.step.objective import make_objective
from engine.step.optimizer import Optimizer
from engine.step.teacher import load_teacher
from engine.step.training_batches import FeatureBatch, TrainingSets, micro_batches
from engine.watch import start_checks
from engine.watch.diagnosis import Diagnosis
from engine.watch.nonfinite import Guard
from program import run_folder
from program.signals import Stopped, StopRequest


class Trainer:
    """One run, from its config to its last step.

    `engine/resume.py` goes on from a checkpoint, `engine/finish.py` makes the result.

    Args:
        config: with what the weights and the data set decide filled in (`resolve_config`).
        splits: `data.build_splits(config)`; the test images are for `engine/finish.py`.
        folder: of the run; not touched before `train`.
        stop: what may ask the run to stop; None: nothing.
    """

    def __init__(
        self,
        config: ConfigDict,
        splits: data.Splits,
        folder: Path,
        stop: StopRequest | None = None,
    ):
        self.config, self.folder, self.stop = config, folder, stop or StopRequest()
        self.stop.agree_by(distributed.any_rank)
        self.splits, train_set = splits, splits.train
        self.sets = TrainingSets(train_set, splits.unlabelled)
        self.plan = run_plan.make(config, len(train_set))
        self.model = build_model(config)
        self.pretrained = load_pretrained(self.model, config, train_set.classes)
        start_checks.check_noise(self.model, config)
        start_checks.check_unlabelled(config, splits.unlabelled)
        self.teacher = load_teacher(config, train_set.classes)
        self.objective = make_objective(config, self.teacher)
        scaled = resolve_config.with_rate(config, self.plan.global_batch)
        self.averages = Averages(self.model, scaled.average, self.plan)
        split = self.plan.steps, config.train.accumulation_steps
        scaler = mixed_precision.loss_scaler(config.train)
        self.optimizer = Optimizer(self.model, scaled.optim, *split, scaler)
        self.guard = Guard(config, self.model, self.objective, self.optimizer, self.sets)
        self.diagnosis, self.meter = Diagnosis(config, self.plan), Meter()
        self.progress = Progress(
            global_batch=self.plan.global_batch,
            micro_batch=config.train.batch_size,
            teacher=self.teacher.provenance["sha256"] if self.teacher else "",
            data={name: one.identity() for name, one in splits.named().items()},
        )

    def train(self) -> bool:
        """Runs the steps that are left.

        Returns:
            True when all steps are done; False when a stop was requested (the state is saved).

        Raises:
            Stopped: when a stop was requested before a new state was to be saved.
            Rollback: when the run is to go back to its newest checkpoint.
        """
        train, plan, optimizer = self.config.train, self.plan, self.optimizer
        accumulation, model = train.accumulation_steps, distributed.wrap(self.model)
        model.train()
        with self._log() as log, self._writer() as writer:
            self._begin(log)
            batches = self.batches()
            log.restart_rate()
            for step in range(optimizer.steps_done, plan.steps):
                self.guard.begin(step)
                for micro in range(accumulation):
                    batch = next(batches)  # images (B, 3, S, S), labels (B,)
                    with distributed.gradient_sync(model, due=micro == accumulation - 1):
                        passed = forward(model, self.objective, batch, step, micro)  # m masks
                        optimizer.accumulate(passed.terms.total)  # divided by the micro-batches
                    self.meter.add(passed.terms, passed.predictions, batch.labels, batch.skipped)
                self._show_arrays(log, step + 1)
                lr = optimizer.step(self.averages.rate(step))
                if optimizer.refused:  # the gradient is not finite; no weight has changed
                    self.guard.refused(self.progress, log, self.meter)
                batch_norm_sync.average_statistics(self.model)

                done = step + 1
                self.averages.update(done, stepped=not optimizer.refused)
                log.advance(plan.global_batch)
                self.progress.steps_done, self.progress.seconds = done, log.seconds
                last = done == plan.steps
                if last or done % train.log_every_steps == 0:
                    self._record(log, lr)
                    writer.check()
                improved = (last or done % plan.eval_every == 0) and self._validate(log)
                stopping = self.stop.agreed()
                if improved or last or stopping or done % train.checkpoint_every_steps == 0:
                    self._save(log, writer)
                if stopping:
                    return False
        return True

    def batches(self) -> Generator[data.Batch | FeatureBatch, None, None]:
        """Returns the micro-batches of the steps that are left; first computes cached features."""
        steps = self.optimizer.steps_done, self.plan.steps
        if TRAIN in self.cached.names:
            return self.features.micro_batches(*steps)
        return micro_batches(self.config, self.sets, *steps, self.config.data.workers)

    @functools.cached_property
    def cached(self) -> Decision:
        """Whose features are cached; all ranks ask together, after the resume."""
        progress, splits = self.progress, self.splits.named()
        images = {name: len(splits[name]) for name in (TRAIN, UNLABELLED, VAL) if name in splits}
        # A run that a version without this field began goes on without features.
        before = [] if progress.steps_done and progress.cached is None else progress.cached
        found = decide(self.model, self.config, images, self.plan, self.folder, before)
        progress.cached = [*found.names]
        return found

    @functools.cached_property
    def features(self) -> FeatureCache:
        """The features of the images that `cached` names."""
        cached, sets = self.cached, self.splits.named()
        place = Disk(self.folder / run_folder.FEATURES) if cached.on_disk else Memory()
        return FeatureCache(self.model, self.config, sets, cached.part, place, self.stop.check)

    def take_features(self, other: Trainer) -> None:
        """Takes the features of another trainer of the same run, which has the same frozen part."""
        self.cached, self.model.cut = other.cached, other.model.cut
        self.progress.cached = other.progress.cached
        if self.cached.names:
            self.features.views = other.features.views

    @contextlib.contextmanager
    def weights(self, name: str) -> Iterator[None]:
        """A context in which the model is as it is evaluated.

        Args:
            name: `raw` for its own weights, else an average; with their batch-norm statistics.
        """
        check = self.stop.check
        statistics = precise_statistics(self.model, self.splits.train, self.config, check)
        with self.averages.installed(name), statistics:
            yield

    def _begin(self, log: Log) -> None:
        """Does what comes before the first step, of a resumed run also the validation due."""
        log.pictures("train/images", self.splits.train)
        self.diagnosis.replay(log.records, len(self.splits.val or ()))
        if self.progress.validation_due:
            self._validate(log)
            self.stop.check()

    def _show_arrays(self, log: Log, done: int) -> None:
        """Shows the distribution of weights and gradients before the step's update, where due."""
        every = self.config.train.histogram_every_steps
        if every and (done % every == 0 or done == self.plan.steps):
            named = self.model.named_parameters()
            weights = ((name, value.astype("float32").numpy()) for name, value in named)
            log.histograms(done, "weights", weights)
            log.histograms(done, "gradients", self.optimizer.gradients())

    def _record(self, log: Log, lr: float) -> None:
        """Logs the training metrics since the last record."""
        values = self.meter.read()
        self.progress.skipped += int(values["skipped"])
        done, values = self.progress.steps_done, {**values, "lr": lr, **self.optimizer.metrics()}
        log.step(done, values)
        log.findings(done, self.diagnosis.training(done, values))

    def _validate(self, log: Log) -> bool:
        """Evaluates on the held-out images, if there are any.

        Returns:
            Whether the score is the best so far, or equal to it.
        """
        if self.splits.val is None:
            return False
        self.guard.check_state(self.progress, log)
        progress, improved = self.progress, False
        done, progress.validation_due = progress.steps_done, True
        try:
            results = {name: self._evaluate(name) for name in self.averages.names(done)}
        except Stopped:  # the resumed run begins with this validation
            return False
        progress.validation_due = False
        for name, result in results.items():
            log.validation(done, result, name)
            log.findings(done, self.diagnosis.validation(done, result) if name == RAW else [])
            if result.top1 >= progress.best_top1:
                progress.best_top1, progress.best_step, progress.best_of = result.top1, done, name
                improved = True
        log.restart_rate()
        return improved

    def _evaluate(self, name: str) -> Result:
        val, check, cached = self.splits.val, self.stop.check, None
        assert val is not None
        if VAL in self.cached.names:
            cached = self.features.evaluated
        with self.weights(name):
            return evaluate(self.model, val, self.config, check=check, cached=cached)

    def _save(self, log: Log, writer: Writer) -> None:
        """Begins to write a checkpoint."""
        self.guard.check_state(self.progress, log)
        self.progress.meter = self.meter.state()
        if distributed.is_main():
            log.sync()
            arrays, averages = arrays_of(self.model), self.averages.state()
            progress = dataclasses.replace(self.progress)  # which later steps do not change
            writer.save(State(arrays, self.optimizer.state(), progress, averages))
        log.restart_rate()

    def _log(self) -> Log:
        return RunLog(self.folder, self.plan, self.progress) if distributed.is_main() else Log()

    def _writer(self) -> Writer:
        train, folder = self.config.train, self.folder / run_folder.CHECKPOINTS
        options = train.keep_checkpoints, train.stop_unless_saved
        return Writer(folder, *options, distributed.say, self.stop.saving)
