"""Find a learning rate by a range test of a config, with its data, model, weights and objective.

    python -m tools.lr_find --config=configs/digits_rdrop.py [--config.group.field=value ...] \\
        [--row=ROW] [--steps=100]

The rate grows from --lowest to --highest; the loss then tells from which rate on the model learns,
and from which on it diverges. Writes lr_find.json and lr_find.png to --output, and keeps no
weights. The answer is for the global batch that is printed, and for the first stage of a config
that has stages.
"""

from collections.abc import Sequence

from absl import flags

from common.errors import UserError
from program import command_line, exits, paddle_setup
from program.config import config_validation

_MOST_STEPS = 10**6


def _parse(argv: Sequence[str]) -> list[str]:
    flags.DEFINE_integer("steps", 100, "Optimiser steps of the test, at most.")
    flags.DEFINE_float("lowest", 1e-6, "Rate of the first step.")
    flags.DEFINE_float("highest", 1.0, "Rate of the last step.")
    flags.DEFINE_string(
        "output", "", "Folder of the two files; empty: output/<name of the run>_lr_find."
    )
    command_line.define_row()
    return command_line.parse(argv)


def main(argv: list[str]) -> int:
    """Tests the config of the flags; returns the exit code."""
    values = command_line.FLAGS
    if not 0 < values.lowest < values.highest < float("inf"):
        raise UserError(
            f"--lowest={values.lowest:g} and --highest={values.highest:g}: expected 0 < lowest < "
            "highest"
        )
    config = next(iter(command_line.stages(values.row).values()))
    config_validation.validate(config)
    paddle_setup.load_paddle()
    from engine.commands import lr_curve, lr_range_test

    if not lr_curve.LEAST_STEPS <= values.steps <= _MOST_STEPS:
        raise UserError(
            f"--steps is {values.steps}, expected {lr_curve.LEAST_STEPS} or more, at most "
            f"{_MOST_STEPS:,}"
        )
    folder = command_line.output_folder(values.output, "_lr_find")
    rates = lr_curve.growing_rates(values.lowest, values.highest, values.steps)
    print(*lr_range_test.find(config, rates, folder), sep="\n")
    return exits.DONE


if __name__ == "__main__":
    exits.run(main, _parse)
