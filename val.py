"""Check the accuracy of saved weights.

    python val.py --weights=output/digits_rdrop
    python val.py --weights='output/seed_*' --by_class --json=result.json
    python val.py --weights=output/mine --data_root=other_images --split=all
    python val.py --weights=hf/OWNER/NAME --data_root=images_of_its_classes

Weights that this project wrote carry their config and their classes. For others, name their images
by --data_root; or give `--config=configs/NAME.py`.
"""

import sys

from absl import flags
from ml_collections import ConfigDict

from program import command_line, exits, paddle_setup, stored_configs, tool_arguments
from program.config import config_fields, config_validation

flags.DEFINE_multi_string(
    "weights",
    None,
    "The weights: a file, the folder of a finished run, an https address, or a name (see "
    "docs/models.md). Several with commas between them, a pattern in quotes, or the flag several "
    "times: a table with a row for each.",
    required=True,
)
flags.DEFINE_string(
    "data_root", "", "Other images of the same classes: a folder or an archive (see docs/data.md)."
)
flags.DEFINE_string(
    "model", "", "Of weights without a config: a name of tools.models; auto: what they tell."
)
flags.DEFINE_enum(
    "split", "test", ["train", "val", "test", "all"], "Which images to use; all: of every part."
)
flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16"],
    "bfloat16 is faster where the processor has it, and a little off.",
)
flags.DEFINE_float("expect_top1", None, "Exit with 1 when top-1, a fraction, is below.", 0.0, 1.0)
flags.DEFINE_bool("by_class", False, "Show the accuracy of each class, too, the lowest first.")
flags.DEFINE_string("confusion", "", "Write there, as CSV, what each class was taken for.")
flags.DEFINE_string("json", "", "Write the result there as JSON, too.")


def _configs(weights: list[str]) -> list[ConfigDict]:
    """Returns a config for each of the weights, with what the command line sets."""
    values, given = command_line.FLAGS, command_line.overrides()
    if command_line.names_config(sys.argv):
        own = {"model.name": values.model} if values.model else {}
        return [config_fields.changed(values.config, own)] * len(weights)
    others = bool(values.model or values.data_root)
    return [
        config_fields.changed(stored_configs.config_for(one, others, values.model), given)
        for one in weights
    ]


def _with_data(configs: list[ConfigDict], root: str) -> list[ConfigDict]:
    """Returns the configs with other images, if there is a root of them."""
    from engine.commands import other_data

    return [other_data.with_root(one, root, command_line.overrides()) for one in configs]


def main(argv: list[str]) -> int:
    """Evaluates the weights of the flags; returns the exit code."""
    values = command_line.FLAGS
    weights = stored_configs.expanded(values.weights)
    report = tool_arguments.check_output("--json", values.json, weights)
    confusion = tool_arguments.check_output("--confusion", values.confusion, weights)
    configs = _configs(weights)
    paddle_setup.load_paddle()
    from engine.commands import accuracy_check

    if values.data_root:
        configs = _with_data(configs, values.data_root)
    for config in configs:
        config_validation.validate(config)
    options = accuracy_check.Options(
        values.split,
        values.expect_top1,
        report,
        values.precision,
        values.by_class,
        confusion,
    )
    return accuracy_check.check(list(zip(weights, configs)), options)


if __name__ == "__main__":
    exits.run(main, lambda argv: command_line.parse(argv, command_line.config_of_weights(argv)))
