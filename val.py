"""Check the accuracy of saved weights.

    python val.py --weights=output/digits_rdrop/weights.safetensors

Weights that this project wrote carry their config and their classes; for others give
`--config=configs/NAME.py`.
"""

from absl import flags

from program import command_line, exits, paddle_setup, tool_arguments
from program.config import config_validation

flags.DEFINE_string(
    "weights",
    None,
    "The weights: a file, the folder of a finished run, an https address, or a name (see "
    "docs/models.md).",
    required=True,
)
flags.DEFINE_enum("split", "test", ["train", "val", "test"], "Which images to use.")
flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16"],
    "bfloat16 is faster where the processor has it, and a little off.",
)
flags.DEFINE_float("expect_top1", None, "Exit with 1 when top-1, a fraction, is below.", 0.0, 1.0)
flags.DEFINE_string("json", "", "Write the result there as JSON, too.")


def main(argv: list[str]) -> int:
    """Evaluates the weights of the flags; returns the exit code."""
    values = command_line.FLAGS
    report = tool_arguments.check_output("--json", values.json, [values.weights])
    paddle_setup.load_paddle()
    from engine.commands import accuracy_check

    config_validation.validate(values.config)
    return accuracy_check.check(
        values.weights,
        values.config,
        values.split,
        values.expect_top1,
        report,
        values.precision,
    )


if __name__ == "__main__":
    exits.run(main, lambda argv: command_line.parse(argv, command_line.config_of_weights(argv)))
