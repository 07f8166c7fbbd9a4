"""Average the weights of several runs, or of several checkpoints of one.

    python -m tools.average_weights output/a/weights.safetensors output/b/weights.safetensors \\
        --output mean.safetensors
    python -m tools.average_weights output/a/checkpoints/step_* --output mean.safetensors

The result has the config and the classes of the first input. `python val.py --weights` tells
whether the mean is better (--split=val, where images were held out). Weights that were trained from
different beginnings have no useful mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.errors import UserError
from common.reading import user_path
from common.safetensors_files import weights_file
from program import exits, paddle_setup, run_folder, tool_arguments
from program.config import config_fields

if TYPE_CHECKING:
    from engine.state.run_weights import Weights


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.average_weights", __doc__)
    parser.add_argument(
        "inputs",
        nargs="+",
        type=user_path,
        metavar="INPUT",
        help="weights files, folders of runs, or folders of checkpoints",
    )
    parser.add_argument("--output", required=True, type=user_path, help="the weights file to write")
    parser.add_argument(
        "--bn_batches",
        type=int,
        default=0,
        help="training batches for the statistics of batch norms, which have no useful mean",
    )
    return parser.parse_args()


def read(path: Path) -> Weights:
    """Reads a weights file of this project, that of a run, or a folder `RUN/checkpoints/step_N`.

    Returns:
        Arrays, config and classes.

    Raises:
        UserError: when it is neither.
    """
    import data
    from engine.state import checkpoint, run_weights

    path = path.resolve()
    step, run = path.name.partition("_")[2], path.parent.parent
    if not (path.is_dir() and step.isascii() and step.isdigit()):
        path = Path(weights_file(str(path)))
        found = run_weights.read(path)
        if found.config is None:
            raise UserError(
                f"{path} does not carry its config; only weights of this project can be averaged"
            )
        return found
    config = run_folder.read_config(run)
    arrays = checkpoint.load(path.parent, int(step)).model
    return run_weights.Weights(arrays, config, data.build(config, "train").classes)


def average(paths: list[Path], bn_batches: int) -> Weights:
    """Returns the mean of weights, with the config and the classes of the first.

    Args:
        paths: what `read` takes.
        bn_batches: training batches from which the statistics of batch norms are computed anew.

    Raises:
        UserError: when they are of different models or classes, or have batch norms and
            `bn_batches` is 0.
    """
    import data
    import models
    from engine.results.precise_batch_norm import precise_statistics
    from engine.state import run_weights

    members = [read(path) for path in paths]
    arrays = mean_arrays([member.arrays for member in members], list(map(str, paths)))
    config, classes = members[0].config, members[0].classes
    for path, member in zip(paths, members):
        run_weights.check_classes(member.classes, classes, str(path))
    model = models.build(config.model)
    models.assign_all(model, arrays, str(paths[0]))
    if not models.batch_norms(model):
        return run_weights.Weights(arrays, config, classes)
    if bn_batches < 1:
        raise UserError(
            "the model has batch norms, whose statistics have no mean that is of use: set "
            "--bn_batches"
        )
    changed = config_fields.changed(config, {"average.precise_bn_batches": bn_batches})
    with precise_statistics(model, data.build(changed, "train"), changed):
        return run_weights.Weights(run_weights.arrays_of(model), config, classes)


def mean_arrays(members: list[dict[str, np.ndarray]], names: list[str]) -> dict[str, np.ndarray]:
    """Returns the mean of several sets of arrays, summed in float64.

    Args:
        members: the sets, at least one; arrays that are not of floats must be the same in all.
        names: what to call each set in an error.

    Raises:
        UserError: when they are not of the same model.
    """
    first, result = members[0], {}
    for other, name in zip(members, names):
        keys = sorted(first.keys() | other.keys())
        differing = [key for key in keys if not _alike(first.get(key), other.get(key))]
        if differing:
            raise UserError(f"{name} is of another model than {names[0]}: {differing[0]} differs")
    for key, array in first.items():
        total = sum(other[key].astype(np.float64) for other in members) / len(members)
        result[key] = total.astype(array.dtype) if array.dtype.kind == "f" else array
    return result


def _alike(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None or (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    return one.dtype.kind == "f" or bool((one == other).all())


def main() -> int:
    """Averages what the command line names; returns the exit code."""
    arguments = _arguments()
    if arguments.bn_batches < 0:
        raise UserError(f"--bn_batches is {arguments.bn_batches}, expected 0 or more")
    tool_arguments.check_output("--output", arguments.output, arguments.inputs)
    paddle_setup.load_paddle()
    from engine.state import run_weights

    mean = average(arguments.inputs, arguments.bn_batches)
    run_weights.save(arguments.output, mean.arrays, mean.config, mean.classes)
    print(f"{arguments.output}: the mean of {len(arguments.inputs)}")
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
