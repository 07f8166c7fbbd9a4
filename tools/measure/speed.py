"""What `tools.benchmark` measures as the speed of steps: train, eval, cost and checkpoint."""

import argparse
import tempfile
from pathlib import Path

from common.errors import UserError
from tools.measure import interleaved, peak_flops, peer_timm, worker_processes
from tools.measure.timed_steps import Training, checkpoints, config_of, evaluation


def train(arguments: argparse.Namespace) -> dict:
    """Measures training steps; with `--peak`, in turns with products of large matrices."""
    training = Training(config_of(arguments))
    products = peak_flops.steps(training.model, training.config) if arguments.peak else {}
    found = _in_turns({"train": training.step, **products}, arguments)
    if arguments.peak:
        peak_flops.show(found["rows"])
    return found


def evaluate(arguments: argparse.Namespace) -> dict:
    """Measures the evaluation of a batch."""
    return _in_turns({"eval": evaluation(config_of(arguments), arguments.precision)}, arguments)


def cost(arguments: argparse.Namespace) -> dict:
    """Measures a step of cross-entropy, one of R-Drop, and one of R-Drop with shared blocks.

    Raises:
        UserError: for a single copy, which is cross-entropy.
    """
    copies, shared = arguments.copies, arguments.shared_blocks
    if copies < 2:
        raise UserError(
            f"--copies is {copies}, expected 2 or more: one is cross-entropy, to which it compares"
        )
    kinds = {"cross-entropy": (1, 0), "R-Drop": (copies, 0)}
    if shared:
        kinds[f"R-Drop, {shared} blocks shared"] = (copies, shared)
    steps = {
        name: Training(config_of(arguments, copies=own, shared_blocks=blocks)).step
        for name, (own, blocks) in kinds.items()
    }
    return _in_turns(steps, arguments)


def checkpoint(arguments: argparse.Namespace) -> dict:
    """Measures a step while no checkpoint is written, while one is, and after it is written."""
    with tempfile.TemporaryDirectory() as folder:
        return _in_turns(checkpoints(config_of(arguments), Path(folder)), arguments)


def compare(arguments: argparse.Namespace) -> dict:
    """Measures training or evaluation in turns with the library that `--peer` names."""
    return interleaved.compared(worker_processes.compare(arguments), arguments.batch, "ours")


def serve(arguments: argparse.Namespace) -> None:
    """Takes steps of one side, whenever the process asks that compares it with the other."""
    config, evaluates = config_of(arguments), arguments.what == "eval"
    if arguments.serve == "timm":
        of_peer = peer_timm.evaluation if evaluates else peer_timm.training
        step = of_peer(config, arguments.precision)
    else:
        step = evaluation(config, arguments.precision) if evaluates else Training(config).step
    worker_processes.serve(step)


def _in_turns(steps: dict[str, interleaved.Step], arguments: argparse.Namespace) -> dict:
    return interleaved.report(interleaved.measure(steps, arguments.rounds), arguments.batch)
