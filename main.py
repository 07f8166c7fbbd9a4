"""Train: `python main.py [--config=configs/NAME.py] [--config.group.field=value ...] [--workdir=FOLDER]`.

Without a flag it trains a small vision transformer with R-Drop on handwritten digits, in about a minute on a CPU.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from engine.signals import StopRequest, blocked

with blocked():  # no thread of a library may take a signal
    from engine import runtime, settings, validation

flags.DEFINE_string("workdir", "", "Folder of the run; empty: output/<name of the config file>, with _<row> for a row.")
settings.define_row()
flags.DEFINE_bool("dry_run", False, "Print the plan, take one real step on made-up images, and exit.")
flags.DEFINE_bool("overwrite", False, "Remove the run that is in the folder and start anew.")
flags.DEFINE_float(
    "max_hours", 0.0, "Stop like at a signal, saved and with exit code 75, before so many hours; 0: never."
)


def main(argv: list[str]) -> int:
    """Run the experiment of the flags; gives the exit code."""
    with StopRequest(settings.FLAGS.max_hours) as stop:
        return _run(stop)


def _run(stop: StopRequest) -> int:
    configs = settings.stages(settings.FLAGS.row)
    for config in configs.values():
        validation.validate(config)
        validation.validate_length(config)
    with stop.held():
        runtime.prepare_environment()
    from engine import experiment, stages  # import paddle, which reads the environment

    if settings.FLAGS.dry_run:
        return experiment.dry_run(configs)
    folder = settings.output_folder(settings.FLAGS.workdir)
    return stages.train(configs, folder, settings.FLAGS.overwrite, stop)


if __name__ == "__main__":
    default = Path(__file__).parent / "configs" / "digits_rdrop.py"
    runtime.run(main, lambda argv: settings.parse(argv, str(default)))
