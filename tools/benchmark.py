"""Measure the speed of training and evaluation on made-up images, and what R-Drop costs.

    python -m tools.benchmark train --model vit_ti_16 --batch 8 --copies 2 --shared_blocks 6
    python -m tools.benchmark eval --model vit_ti_16 --batch 16
    python -m tools.benchmark cost --model vit_ti_16 --batch 8 --shared_blocks 6
    python -m tools.benchmark train --model deit_ti --batch 16 --optimizer momentum --peer timm
    python -m tools.benchmark train --model deit_ti --batch 16 --optimizer momentum --peak
    python -m tools.benchmark checkpoint --model vit_s_16 --batch 8 --optimizer adamw
    python -m tools.benchmark growth --model deit_ti --batch 2 --optimizer momentum
    python -m tools.benchmark data --image_size 384 --batch 64 --data_root tiny-imagenet-200.zip
    python -m tools.benchmark startup --rounds 5
    python -m tools.benchmark memory --model vit_b_16_384 --batch 1 --operators plain --recompute

`cost` takes turns: in each round a step of plain cross-entropy, one of R-Drop, and one of R-Drop
with shared blocks, on the same images. `checkpoint` takes a step by itself, a step beside which a
state is written in the background, as the trainer does it, and a step that waits until it is on the
disk (below TMPDIR). Machines are shared and noisy, so compare the ratios within rounds, of which it
gives the median.

`growth` takes steps of larger and larger batches, images, depths and numbers of copies, in turns,
and fits exponents. `memory` measures the peak memory of a step with the batch, and with twice and
three times as many images, each in a process of its own: what an image needs, and what there is
beside the images (see tools/measure/peak_memory.py).

`train` and `eval` with `--peer timm` take turns with PyTorch and timm (install both), each side in
one process and in one for each core; the better one of each counts.

`startup` runs `python main.py` with one step: the seconds until it begins, and of all.

`data` is without a model: the images that one core reads and transforms, beside stock transforms.
Times the workers, it is what a GPU has to wait for, or not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from common.atomic_writing import write_json
from common.errors import UserError
from program import environment, exits, paddle_setup, tool_arguments, validation
from tools.measure import (
    interleaved,
    peak_flops,
    peak_memory,
    peer_timm,
    scaling_exponents,
    startup,
    worker_processes,
)


def _arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.benchmark", __doc__)
    parser.add_argument(
        "what",
        choices=("train", "eval", "cost", "checkpoint", "growth", "data", "memory", "startup"),
    )
    parser.add_argument("--model", default="vit_ti_16", help="a name of models.MODELS")
    parser.add_argument("--image_size", type=int, default=0, help="in pixels; 0: the model's own")
    parser.add_argument(
        "--batch", type=int, default=8, help="images of a step, each passing `copies` times"
    )
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--shared_blocks", type=int, default=0)
    parser.add_argument("--drop_rate", type=float, default=0.1)
    parser.add_argument("--optimizer", default="adamw", help="adamw, momentum or sgd")
    parser.add_argument("--rounds", type=int, help="measurements of each; 11, of memory 1")
    parser.add_argument("--amp", default="", help="O1 or O2, as train.amp: half precision on a GPU")
    parser.add_argument("--operators", default="auto", help="auto or plain, as model.operators")
    parser.add_argument("--recompute", action="store_true", help="as train.recompute")
    parser.add_argument(
        "--keep_freed", action="store_true", help="memory: of a process as the trainer has it"
    )
    parser.add_argument(
        "--peak", action="store_true", help="of train: beside it the fastest product of matrices"
    )
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="ours, of eval"
    )
    parser.add_argument("--peer", choices=("timm",), help="compare with it; for train and eval")
    parser.add_argument(
        "--serve", choices=("ours", "timm"), help=argparse.SUPPRESS
    )  # a process that waits for turns
    parser.add_argument(
        "--data_root", default="", help="data: of Tiny ImageNet; without it images are made up"
    )
    parser.add_argument("--json", type=Path, help="write everything there, too")
    return parser.parse_args(words)


def _config(arguments: argparse.Namespace, copies: int, shared_blocks: int):
    from configs import default
    from engine.plan import resolve_config

    config = default.get_config()
    config.model.update(
        name=arguments.model, image_size=arguments.image_size, drop_rate=arguments.drop_rate
    )
    config.model.operators = arguments.operators
    config.rdrop.update(copies=copies, shared_blocks=shared_blocks)
    config.optim.name = arguments.optimizer
    train = {"amp": arguments.amp, "recompute": arguments.recompute}
    config.train.update(batch_size=arguments.batch, steps=10**6, **train)
    validation.validate(config)
    return resolve_config.with_classes(resolve_config.with_input(config), 1000)


def _growth(arguments: argparse.Namespace) -> list[dict]:
    from tools.measure.timed_steps import Training

    config = _config(arguments, arguments.copies, 0)
    depth = len(Training(config).model.block_groups()) - 1
    base = scaling_exponents.Setting(
        arguments.batch, config.model.image_size, depth, arguments.copies
    )

    def step(setting: scaling_exponents.Setting) -> Callable[[], float]:
        given = argparse.Namespace(
            **{**vars(arguments), "batch": setting.batch, "image_size": setting.image_size}
        )
        return Training(_config(given, setting.copies, 0), setting.depth).step

    points = {point for row in scaling_exponents.settings(base).values() for point in row}
    steps = {str(point): step(point) for point in sorted(points)}
    return scaling_exponents.show(base, interleaved.measure(steps, arguments.rounds), str)


def _compare(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of both sides, taking turns, in one process and in one for each core; the peer's
    better way first.
    """
    cores = os.cpu_count() or 1
    workers = {}
    try:
        for processes in sorted({1, cores if arguments.batch % cores == 0 else 1}):
            for side in ("ours", arguments.peer):
                name = f"{side}, {processes} process{'es' * (processes > 1)}"
                workers[name] = worker_processes.Workers(
                    _serving(arguments, side, processes), processes
                )
        seconds = interleaved.measure(
            {name: side.step for name, side in workers.items()}, arguments.rounds
        )
    finally:
        for side in workers.values():
            side.close()
    order = sorted(
        seconds, key=lambda name: (name.startswith("ours"), statistics.median(seconds[name]))
    )
    return {name: seconds[name] for name in order}


def _serving(arguments: argparse.Namespace, side: str, processes: int) -> list[str]:
    """The command of a process that waits for turns, with its share of the batch."""
    own = {**vars(arguments), "batch": arguments.batch // processes, "serve": side}
    return worker_processes.command("tools.benchmark", arguments.what, own)


def _serve(arguments: argparse.Namespace) -> int:
    config = _config(arguments, arguments.copies, arguments.shared_blocks)
    if arguments.what == "memory":
        peak_memory.serve(config, arguments.keep_freed)
        return exits.DONE
    shape = arguments.model, config.model.image_size, arguments.batch
    if arguments.serve == "ours":
        from tools.measure import timed_steps

        evaluates = arguments.what == "eval"
        worker_processes.serve(
            timed_steps.evaluation(config, arguments.precision)
            if evaluates
            else timed_steps.Training(config).step
        )
    elif arguments.what == "eval":
        worker_processes.serve(peer_timm.evaluation(*shape))
    else:
        worker_processes.serve(peer_timm.training(*shape, arguments.copies, arguments.drop_rate))
    return exits.DONE


def _choose(arguments: argparse.Namespace, folder: Path) -> dict[str, Callable[[], float]]:
    from tools.measure.timed_steps import Training, checkpoints, evaluation

    copies, shared = arguments.copies, arguments.shared_blocks
    if arguments.what == "eval":
        return {"eval": evaluation(_config(arguments, copies, shared), arguments.precision)}
    if arguments.what == "train":
        training = Training(_config(arguments, copies, shared))
        return {
            "train": training.step,
            **(peak_flops.steps(training.model, training.config) if arguments.peak else {}),
        }
    if arguments.what == "checkpoint":
        return checkpoints(_config(arguments, copies, shared), folder)
    kinds = {"cross-entropy": (1, 0), "R-Drop": (copies, 0)}
    if shared:
        kinds[f"R-Drop, {shared} blocks shared"] = (copies, shared)
    return {name: Training(_config(arguments, *kind)).step for name, kind in kinds.items()}


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what has no meaning."""
    if arguments.rounds is not None and arguments.rounds < 1:
        raise UserError(f"--rounds is {arguments.rounds}, expected 1 or more")
    if arguments.what == "cost" and arguments.copies < 2:
        raise UserError(
            f"--copies is {arguments.copies}, expected 2 or more: one is cross-entropy, to which it compares"
        )
    if arguments.data_root and arguments.what != "data":
        raise UserError(f"--data_root has no meaning for {arguments.what}: its images are made up")
    if arguments.peak and (arguments.what != "train" or arguments.peer):
        raise UserError("--peak has a meaning for train alone, without --peer")
    if arguments.precision != "float32" and arguments.what != "eval":
        raise UserError(f"--precision has no meaning for {arguments.what}: it is that of eval")
    if arguments.peer and arguments.what not in ("train", "eval"):
        raise UserError(f"--peer has no meaning for {arguments.what}: it compares train and eval")
    tool_arguments.check_output("--json", arguments.json)


def main() -> int:
    """Measure what the command line asks for; gives the exit code."""
    arguments = _arguments()
    _check(arguments)
    arguments.rounds = arguments.rounds or (1 if arguments.what == "memory" else 11)
    if arguments.what == "memory" and not arguments.serve:
        return _memory(arguments)
    if arguments.what == "eval":
        arguments.copies, arguments.shared_blocks = 1, 0  # what evaluation is
    if arguments.what == "data":
        os.environ["OMP_NUM_THREADS"] = "1"  # it is of one core
    paddle_setup.load_paddle()
    if arguments.serve:
        return _serve(arguments)
    if arguments.what == "data":
        rows = _data(arguments)
    elif arguments.what == "startup":
        rows = _startup(arguments)
    elif arguments.what == "growth":
        rows = _growth(arguments)
    else:
        with tempfile.TemporaryDirectory() as folder:
            steps = _choose(arguments, Path(folder)) if not arguments.peer else None
            seconds = interleaved.measure(steps, arguments.rounds) if steps else _compare(arguments)
            rows = interleaved.table(seconds, arguments.batch)
    if arguments.peak:
        peak_flops.show(rows)
    headline = rows[0 if arguments.what == "data" else -1]
    shown = {name: headline[name] for name in ("images_per_second", "seconds") if name in headline}
    _write(arguments, {**shown, "rows": rows})
    return exits.DONE


def _data(arguments: argparse.Namespace) -> list[dict]:
    """The rows of all groups of `data`, which are measured one after the other."""
    from tools.measure import data_loading

    config, rows = _config(arguments, arguments.copies, arguments.shared_blocks), []
    for name, steps in data_loading.groups(config, arguments.data_root).items():
        print(f"{name}:", flush=True)
        found = interleaved.table(interleaved.measure(steps, arguments.rounds), arguments.batch)
        rows += [{"group": name, **row} for row in found]
    return rows


def _startup(arguments: argparse.Namespace) -> list[dict]:
    """The rows of `startup`; they are printed, too."""
    rows = [
        {"name": name, "seconds": found}
        for name, found in startup.seconds(arguments.rounds).items()
    ]
    for row in rows:
        found = row["seconds"]
        spread = f"({min(found):.2f} to {max(found):.2f})"
        print(f"{row['name']:28} {statistics.median(found):8.2f} s  {spread}  n = {len(found)}")
    return rows


def _memory(arguments: argparse.Namespace) -> int:
    if arguments.batch < 1:
        raise UserError(f"--batch is {arguments.batch}, expected 1 or more")
    found = peak_memory.measure(arguments)
    print(peak_memory.table(found))
    if arguments.json:
        paddle_setup.load_paddle()  # what is written down of it
    _write(arguments, found)
    return exits.DONE


def _write(arguments: argparse.Namespace, found: dict) -> None:
    """Write what was found as JSON, where that is wanted, with how it was found."""
    if arguments.json:
        settings = {name: value for name, value in vars(arguments).items() if name != "json"}
        shown = {
            "model": arguments.model,
            "settings": settings,
            "environment": environment.describe(),
        }
        write_json(arguments.json, {**shown, **found})


if __name__ == "__main__":
    exits.run_tool(main)
