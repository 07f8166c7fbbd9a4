"""The accuracy check of `val.py`: saved weights on one split of their data."""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

import data
import models
from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import user_path
from common.safetensors_files import weights_file
from engine import distributed
from engine.plan import resolve_config, start_lines
from engine.results import bfloat16_evaluation, console
from engine.results.evaluation import evaluate
from engine.state import run_weights
from engine.step import mixed_precision
from engine.watch.rank_comparison import check_same_config, check_same_data
from program import exits


def check(
    path: str,
    config: ConfigDict,
    split: str,
    expect_top1: float | None = None,
    json_path: Path | None = None,
    dtype: str = "float32",
) -> int:
    """Evaluates weights, prints a table, and compares with an expectation.

    Args:
        path: of the weights or of the folder of their run, or a name that
            `models/weights/sources/locations.py` knows.
        config: says which model and which data; checked by `config_validation.validate`.
        split: `train` (without augmentation), `val` or `test`.
        expect_top1: the least accuracy that is accepted, a fraction.
        json_path: where to write the result as JSON, if anywhere.
        dtype: `bfloat16` to evaluate in it.

    Returns:
        The exit code.

    Raises:
        UserError: when the weights do not fit the model, or were trained for other classes.
    """
    if expect_top1 is not None and not 0 <= expect_top1 <= 1:
        raise UserError(f"--expect_top1 is {expect_top1}, expected 0 to 1")
    distributed.start()
    with distributed.together():
        given, path = path, weights_file(path)
        if user_path(given).is_dir():
            distributed.say(f"weights: {path}")
        stored = run_weights.read(path)
        for sentence in stored.said:
            distributed.say(f"weights: {sentence}")
        config = resolve_config.with_input(config, path)
        dataset = data.build(config, split, augment=False)
        if stored.classes is not None:
            run_weights.check_classes(dataset.classes, stored.classes, f"the weights {path}")
        known = run_weights.same_order(dataset.classes, stored.classes_beside, path)
        config = resolve_config.with_classes(config, len(dataset.classes))
        model = models.build(config.model)
        models.assign_all(model, stored.arrays, path)
        mixed_precision.apply(model, config.train)
        if dtype == "bfloat16":
            model = bfloat16_evaluation.apply(model, config.model.image_size)
    check_same_config(config)
    check_same_data({split: dataset})
    origin = f" ({dataset.source.origin})" if dataset.source.origin else ""
    distributed.say(
        f"data: {config.data.name}, {len(dataset)} {split} images{origin}",
        *start_lines.head_warning(config),
    )
    with console.progress_bar(len(dataset) // distributed.world_size()) as bar:
        result = evaluate(model, dataset, config, None if bar.disable else bar.update)
    distributed.say(console.table(result, split))
    if stored.classes is None and not known:
        distributed.say("the weights do not name their classes: their order was not checked")
    if json_path and distributed.is_main():
        how = {"weights": path, "split": split, "precision": dtype}
        _write(json_path, {**result._asdict(), **how})
    if expect_top1 is not None and result.top1 < expect_top1:
        distributed.say(f"FAILED: top-1 {result.top1:.4f} is below the expected {expect_top1:.4f}")
        return exits.FAILED_EXPECTATION
    return exits.DONE


def _write(path: Path, content: dict[str, object]) -> None:
    try:
        write_json(path, content)
    except OSError as error:
        raise UserError(f"--json: {path} can't be written ({error.strerror})") from None
