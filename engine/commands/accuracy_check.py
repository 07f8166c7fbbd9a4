"""The accuracy check of `val.py`: saved weights on one split of their data, or of other data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

import data
import models
from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import user_path
from common.safetensors_files import weights_file
from engine import distributed
from engine.commands import accuracy_tables, class_counts, other_data
from engine.plan import resolve_config, start_lines
from engine.results import bfloat16_evaluation, console
from engine.results.evaluation import Result, evaluate
from engine.state import run_weights
from engine.step import mixed_precision
from engine.watch.rank_comparison import check_same_config, check_same_data
from program import exits


class Options(NamedTuple):
    """What `val.py` is asked for.

    Attributes:
        split: `train` (without augmentation), `val`, `test`, or `all` of them.
        expect_top1: the least accuracy that is accepted, a fraction; None: any.
        json_path: where to write the result as JSON, if anywhere.
        dtype: `bfloat16` to evaluate in it.
        by_class: whether to show the accuracy of each class.
        confusion: where to write the confusion matrix as CSV, if anywhere.
    """

    split: str = "test"
    expect_top1: float | None = None
    json_path: Path | None = None
    dtype: str = "float32"
    by_class: bool = False
    confusion: Path | None = None


class _Checked(NamedTuple):
    """The result of some weights; the rows are empty where no classes were asked for."""

    weights: str
    result: Result
    rows: list[class_counts.ClassRow]


def check(jobs: Sequence[tuple[str, ConfigDict]], options: Options) -> int:
    """Evaluates weights, prints a table, and compares with an expectation.

    Args:
        jobs: weights (a file, the folder of a run, or a name that
            `models/weights/sources/locations.py` knows), each with a config that says which model
            and which data; checked by `config_validation.validate`.
        options: what else is asked for.

    Returns:
        The exit code. Of several weights, those that can't be evaluated are named at the end.

    Raises:
        UserError: when the only weights do not fit the model, or were trained for other classes.
    """
    expected = options.expect_top1
    if expected is not None and not 0 <= expected <= 1:
        raise UserError(f"--expect_top1 is {expected}, expected 0 to 1")
    if options.confusion and (len(jobs) > 1 or options.confusion == options.json_path):
        raise UserError("--confusion: is of one file of weights, and a file of its own")
    distributed.start()
    checked, failed = [], []
    for path, config in jobs:
        try:
            checked.append(_check_one(path, config, options, alone=len(jobs) == 1))
        except UserError as error:
            # An error of one process alone would leave the others waiting.
            if len(jobs) == 1 or distributed.world_size() > 1:
                raise
            failed.append(str(error))
    if len(jobs) > 1 and checked:
        distributed.say(accuracy_tables.several([(one.weights, one.result) for one in checked]))
    if options.json_path and distributed.is_main() and checked:
        content = [_as_json(one, options) for one in checked]
        _write(options.json_path, content[0] if len(jobs) == 1 else content)
    for problem in failed:
        print(f"error: {problem}", file=sys.stderr, flush=True)
    if failed:
        return exits.BAD_INPUT
    return _compared(checked, expected)


def _compared(checked: Sequence[_Checked], expected: float | None) -> int:
    code = exits.DONE
    for one in checked:
        if expected is not None and one.result.top1 < expected:
            of = f" of {one.weights}" if len(checked) > 1 else ""
            found = f"top-1{of} {one.result.top1:.4f}"
            distributed.say(f"FAILED: {found} is below the expected {expected:.4f}")
            code = exits.FAILED_EXPECTATION
    return code


def _check_one(given: str, config: ConfigDict, options: Options, alone: bool) -> _Checked:
    """Evaluates the weights of one source, and prints what is not in the table of several."""
    with distributed.together():
        path = weights_file(given)
        if user_path(given).is_dir() or not alone:
            distributed.say(f"weights: {path}")
        stored = run_weights.read(path)
        for sentence in stored.said:
            distributed.say(f"weights: {sentence}")
        config = resolve_config.with_input(config, path)
        dataset = data.build(config, options.split, augment=False)
        known = _compare_classes(dataset.classes, stored, path)
        test = dataset if options.split == "test" else None
        config = resolve_config.with_classes(config, len(dataset.classes))
        model = models.build(config.model)
        models.assign_all(model, stored.arrays, path)
        mixed_precision.apply(model, config.train)
        if options.dtype == "bfloat16":
            model = bfloat16_evaluation.apply(model, config.model.image_size)
        wants_classes = options.by_class or options.confusion is not None
        counts = class_counts.ClassCounts(dataset.classes) if wants_classes else None
    check_same_config(config)
    check_same_data({options.split: dataset})
    origin = f" ({dataset.source.origin})" if dataset.source.origin else ""
    distributed.say(
        f"data: {config.data.name}, {len(dataset)} {options.split} images{origin}",
        *start_lines.head_warning(config),
        *other_data.changed_since(path, stored.config, config, test),
    )
    result = _evaluated(model, dataset, config, counts)
    if alone:
        distributed.say(console.table(result, options.split), accuracy_tables.interval_line(result))
    if not known:
        distributed.say("the weights do not name their classes: their order was not checked")
    return _Checked(path, result, _of_classes(counts, options))


def _compare_classes(found: tuple[str, ...], stored: run_weights.Weights, path: str) -> bool:
    """Compares the classes of the data with those of the weights.

    Returns:
        Whether their order is known to be the same.
    """
    if stored.classes is not None:
        run_weights.check_classes(found, stored.classes, f"the weights {path}")
        return True
    return run_weights.same_order(found, stored.classes_beside, path)


def _evaluated(
    model: Any,
    dataset: data.ImageDataset,
    config: ConfigDict,
    counts: class_counts.ClassCounts | None,
) -> Result:
    with console.progress_bar(len(dataset) // distributed.world_size()) as bar:
        update = None if bar.disable else bar.update
        more = {"collect": counts.add} if counts else {}
        return evaluate(model, dataset, config, update, **more)


def _of_classes(
    counts: class_counts.ClassCounts | None, options: Options
) -> list[class_counts.ClassRow]:
    """Shows and writes what was counted by class; returns the rows."""
    if counts is None:
        return []
    total = counts.total()
    rows = class_counts.rows_of(total, counts.classes)
    if options.by_class:
        distributed.say(accuracy_tables.by_class(rows))
    if options.confusion and distributed.is_main():
        class_counts.write_confusion(options.confusion, total, counts.classes)
    return rows


def _as_json(checked: _Checked, options: Options) -> dict[str, Any]:
    interval = list(accuracy_tables.top1_interval(checked.result))
    how = {"weights": checked.weights, "split": options.split, "precision": options.dtype}
    classes = {"by_class": [row.as_dict() for row in checked.rows]} if checked.rows else {}
    return {**checked.result._asdict(), "top1_interval": interval, **how, **classes}


def _write(path: Path, content: object) -> None:
    try:
        write_json(path, content)
    except OSError as error:
        raise UserError(f"--json: {path} can't be written ({error.strerror})") from None
