"""A run in stages: each stage has a folder of its own, and begins with the weights of the last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import sha256
from engine import distributed
from engine.commands import single_run
from program import exits, run_folder
from program.config import config_fields
from program.signals import StopRequest

# Fields of the result that are sums over the stages.
_SUMMED = ("images_seen", "images_skipped", "steps_skipped", "rollbacks", "seconds")


def train(
    stages: dict[str, ConfigDict],
    folder: Path,
    overwrite: bool = False,
    stop: StopRequest | None = None,
) -> int:
    """Trains the stages that are not finished.

    Args:
        stages: configs by the names of their folders below that of the run. A single stage may have
            an empty name: it then has the folder of the run for itself.
        folder: of the run. It gets the last stage's result, with time and images of all of them.
        overwrite: remove an earlier run there and start anew.
        stop: what may ask the run to stop; None: nothing.

    Returns:
        The exit code.

    Raises:
        UserError: also when the folder holds another kind of run, or a stage began with other
            weights than the stage before it has now.
    """
    if "" in stages:
        return single_run.train(stages[""], folder, overwrite, stop=stop)
    distributed.start()
    stop = stop or StopRequest()
    with distributed.on_main(run_folder.lock(folder)):
        with distributed.together(), stop.deferred():
            if distributed.is_main():
                _claim(folder, list(stages), overwrite)
        return _train(stages, folder, stop)


def _train(stages: dict[str, ConfigDict], folder: Path, stop: StopRequest) -> int:
    before: Path | None = None
    for number, (name, config) in enumerate(stages.items(), start=1):
        distributed.say(f"stage {number} of {len(stages)}: {name}")
        if before:
            _check_begin(folder / name, before)
            begin = {"model.pretrained": str(before), "model.pretrained_head": "auto"}
            # The weights before it have scales of their own.
            config = config_fields.changed(config, {**begin, "model.zero_gamma": False})
        # The folder may have moved since; the weights themselves are compared.
        free = ("model.pretrained",) if before else ()
        code = single_run.train(config, folder / name, free=free, stop=stop)
        if code != exits.DONE:
            return code
        before = folder / name / run_folder.WEIGHTS
    if distributed.is_main():
        results = {name: run_folder.result(folder / name) or {} for name in stages}
        write_json(folder / run_folder.RESULT, _together(results))
    return exits.DONE


def _claim(folder: Path, names: list[str], overwrite: bool) -> None:
    """Makes the folder that of a run with these stages, or checks that it is."""
    if (folder / run_folder.CONFIG).is_file():
        raise UserError(
            f"{folder} holds a run without stages; give another --workdir, or clear it by hand"
        )
    for name in names:
        if (folder / name).is_symlink():
            raise UserError(f"{folder / name} is a link, and a run writes into its own folder only")
    held = run_folder.stages(folder)
    if held not in (None, names):
        raise UserError(
            f"{folder} holds a run with the stages {held}, not {names}; give another --workdir"
        )
    if overwrite and held:
        (folder / run_folder.RESULT).unlink(missing_ok=True)
        for name in held:
            run_folder.clear(folder / name)
    try:
        write_json(folder / run_folder.STAGES, names)
    except OSError as error:
        raise run_folder.unwritable(folder, error) from None


def _check_begin(folder: Path, weights: Path) -> None:
    """Checks that a stage begins, or has begun, with the weights of the stage before it."""
    remedy = "--overwrite trains all stages anew"
    if not weights.is_file():
        raise UserError(
            f"{weights} is not there any more, and {folder.name} begins with it; {remedy}"
        )
    begun = run_folder.pretrained(folder)
    if begun and begun.get("sha256") != sha256(weights):
        raise UserError(f"{folder} began with other weights than {weights} are now; {remedy}")


def _together(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the result of the whole run: the last stage's, with paths from the run's folder."""
    name, last = list(results.items())[-1]
    averages = last["beside"].items()
    return {
        **last,
        "weights": f"{name}/{last['weights']}",
        "beside": {key: {**one, "weights": f"{name}/{one['weights']}"} for key, one in averages},
        **{key: sum(result.get(key, 0) for result in results.values()) for key in _SUMMED},
        "stages": {stage: result["top1"] for stage, result in results.items()},
    }
