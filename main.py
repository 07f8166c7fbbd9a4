"""Trains a vision transformer with R-Drop.

    python main.py [--config=configs/NAME.py] [--config.group.field=value ...] [--workdir=FOLDER]

Without a flag it trains a small one on handwritten digits, in about a minute on a CPU.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from program.signals import StopRequest, blocked

with blocked():  # no thread of a library may take a signal
    from program import command_line, exits, paddle_setup, validation

flags.DEFINE_string(
    "workdir",
    "",
    "Folder of the run; empty: output/<name of the config file>, with _<row> for a row.",
)
command_line.define_row()
flags.DEFINE_bool(
    "dry_run", False, "Print the plan, take one real step on made-up images, and exit."
)
flags.DEFINE_bool("overwrite", False, "Remove the run that is in the folder and start anew.")
flags.DEFINE_float(
    "max_hours",
    0.0,
    "Stop like at a signal, saved and with exit code 75, before so many hours; 0: never.",
)


def main(argv: list[str]) -> int:
    """Run the experiment of the flags; gives the exit code."""
    with StopRequest(command_line.FLAGS.max_hours) as stop:
        return _run(stop)


def _run(stop: StopRequest) -> int:
    configs = command_line.stages(command_line.FLAGS.row)
    for config in configs.values():
        validation.validate(config)
        validation.validate_length(config)
    with stop.held():
        paddle_setup.load_paddle()
    from engine.commands import dry_run, staged_run

    if command_line.FLAGS.dry_run:
        return dry_run.dry_run(configs)
    folder = command_line.output_folder(command_line.FLAGS.workdir)
    return staged_run.train(configs, folder, command_line.FLAGS.overwrite, stop)


if __name__ == "__main__":
    default = Path(__file__).parent / "configs" / "digits_rdrop.py"
    exits.run(main, lambda argv: command_line.parse(argv, str(default)))
