"""Find a learning rate: a range test of the config as it is, its data, model, weights and
objective.

    python -m tools.lr_find --config=configs/digits_rdrop.py [--config.group.field=value ...]
    [--row=ROW] [--steps=100]

The rate grows from --lowest to --highest; the loss then tells from where it learns, and from where
it gets away. Writes lr_find.json and lr_find.png to --output, and trains nothing that is kept. The
answer is for the global batch it prints, and of a config with stages for the first one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from common.errors import UserError
from program import command_line, exits, paddle_setup, validation

_MOST_STEPS = 10**6


def _parse(argv: Sequence[str]) -> list[str]:
    flags.DEFINE_integer("steps", 100, "Optimiser steps of the test, at most.")
    flags.DEFINE_float("lowest", 1e-6, "Rate of the first step.")
    flags.DEFINE_float("highest", 1.0, "Rate of the last step.")
    flags.DEFINE_string(
        "output", "", "Folder of the two files; empty: output/<name of the run>_lr_find."
    )
    command_line.define_row()
    return command_line.parse(
        argv, str(Path(__file__).resolve().parent.parent / "configs" / "digits_rdrop.py")
    )


def main(argv: list[str]) -> int:
    """Test the config of the flags; gives the exit code."""
    values = command_line.FLAGS
    if not 0 < values.lowest < values.highest < float("inf"):
        raise UserError(
            f"--lowest={values.lowest:g} and --highest={values.highest:g}: expected 0 < lowest < highest"
        )
    config = next(iter(command_line.stages(values.row).values()))
    validation.validate(config)
    paddle_setup.load_paddle()
    from engine.commands import (
        lr_curve,
        lr_range_test,  # imports paddle, which reads the environment
    )

    if not lr_curve.LEAST_STEPS <= values.steps <= _MOST_STEPS:
        raise UserError(
            f"--steps is {values.steps}, expected {lr_curve.LEAST_STEPS} or more, at most {_MOST_STEPS:,}"
        )
    folder = command_line.output_folder(values.output, "_lr_find")
    rates = lr_curve.growing_rates(values.lowest, values.highest, values.steps)
    print(*lr_range_test.find(config, rates, folder), sep="\n")
    return exits.DONE


if __name__ == "__main__":
    exits.run(main, _parse)
