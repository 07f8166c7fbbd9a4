"""The end of a run: the best weights are read once on the test images; writes `result.json`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import data
import models
from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import sha256
from engine import distributed
from engine.results import console, training_curve
from engine.results.evaluation import Result, evaluate
from engine.results.visualdl import final_records
from engine.results.visualdl.evaluated_images import EvaluatedImages
from engine.state import checkpoint, run_weights
from engine.trainer import Trainer
from engine.watch import nonfinite
from program import run_folder


def finish(trainer: Trainer) -> dict[str, Any]:
    """Evaluates the best weights, or the last where no images are held out; writes the result.

    Args:
        trainer: after its last step.

    Returns:
        The content of `result.json`.
    """
    test_set = trainer.splits.test
    assert test_set is not None
    progress, folder = trainer.progress, trainer.folder
    step, chosen = progress.steps_done, trainer.averages.names(progress.steps_done)[-1]
    best = _best(trainer) if progress.best_step >= 0 else None
    if best:
        step, chosen = progress.best_step, progress.best_of
        models.assign_all(trainer.model, best.model, str(folder))
        trainer.averages.load_state(best.averages)
    classes = trainer.splits.train.classes
    run_weights.check_classes(test_set.classes, classes, "the training images")
    names = trainer.averages.names(step)
    shown = EvaluatedImages(len(test_set), len(classes))
    results = {
        name: _test(trainer, name, test_set, shown if name == chosen else None) for name in names
    }
    result = results.pop(chosen)
    distributed.say(*trainer.diagnosis.test(result))
    outcome = {
        **_measured(result),
        "best_top1": progress.best_top1 if best else None,
        "step": step,
        "weights_of": chosen,
        "beside": {
            name: {**_measured(other), "weights": run_folder.OTHER_WEIGHTS.format(name)}
            for name, other in results.items()
        },
        "images_seen": progress.steps_done * trainer.plan.global_batch,
        "images_skipped": progress.skipped + result.skipped,
        **nonfinite.counts(progress.incidents),
        "seconds": round(progress.seconds, 1),
        "data": progress.data,
    }
    size = progress.steps_done, trainer.plan.global_batch
    ended = final_records.Finished(trainer.config, classes, *size, result, shown, shown.gathered())
    if distributed.is_main():
        weights = run_folder.WEIGHTS
        outcome.update(weights=weights, weights_sha256=sha256(folder / weights))
        training_curve.draw_curve(folder)
        distributed.say(*final_records.write(folder, ended))
        write_json(folder / run_folder.RESULT, outcome)
        shutil.rmtree(folder / run_folder.FEATURES, ignore_errors=True)
        console.show_result(result, outcome, folder)
    return outcome


def _best(trainer: Trainer) -> checkpoint.State | None:
    """Returns the state with the best score; None when it is lost: the last one is used then."""
    step = trainer.progress.best_step

    def read(folder: Path) -> checkpoint.State | None:
        try:
            return checkpoint.load(folder, step)
        except UserError as error:
            distributed.say(
                f"warning: the best weights, of step {step}, are lost, the last are used: {error}"
            )
            return None

    return checkpoint.agreed(trainer.folder / run_folder.CHECKPOINTS, read)


def _test(
    trainer: Trainer, name: str, test_set: data.ImageDataset, shown: EvaluatedImages | None
) -> Result:
    """Evaluates the weights or one of their averages on the test images, and writes their file.

    Args:
        trainer: after its last step.
        name: of the average, or `raw`.
        test_set: the test images.
        shown: takes what is shown of them, for the weights that the result is of; None: others.
    """
    config, check = trainer.config, trainer.stop.check
    with trainer.weights(name):
        if distributed.is_main():
            file = run_folder.WEIGHTS if shown else run_folder.OTHER_WEIGHTS.format(name)
            arrays = run_weights.arrays_of(trainer.model)
            run_weights.save(trainer.folder / file, arrays, config, test_set.classes)
        if not shown:
            return evaluate(trainer.model, test_set, config, check=check)
        with shown.watching(trainer.model):
            return evaluate(trainer.model, test_set, config, check=check, collect=shown.add)


def _measured(result: Result) -> dict[str, float | None]:
    return {name: getattr(result, name) for name in ("top1", "top5", "loss", "ece")}
