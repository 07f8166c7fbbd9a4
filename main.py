"""Train a model, with R-Drop by default.

    python main.py [--config=configs/NAME.py] [--config.group.field=value ...] [--workdir=FOLDER]

Without a flag it trains a small vision transformer with R-Drop on handwritten digits, in about a
minute on a CPU.
"""

from absl import flags

from program.signals import StopRequest, blocked

with blocked():  # no thread that a library starts may take a signal
    from program import command_line, exits, paddle_setup, run_folder
    from program.config import config_validation

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
flags.DEFINE_bool(
    "report", True, "Write report.html at the end; it needs plotly (requirements-extras.txt)."
)
flags.DEFINE_float(
    "max_hours",
    0.0,
    "Stop like at a signal, saved and with exit code 75, before this many hours; 0: never.",
)


def main(argv: list[str]) -> int:
    """Runs the experiment of the flags; returns the exit code."""
    values = command_line.FLAGS
    with StopRequest(values.max_hours) as stop:
        stages = command_line.stages(values.row)
        for config in stages.values():
            config_validation.validate(config)
            config_validation.validate_length(config)
        folder = command_line.output_folder(values.workdir)
        if values.dry_run or values.overwrite or not run_folder.is_begun(folder):
            command_line.refuse_without_use(values.row)
        with stop.held():
            paddle_setup.load_paddle()
        from engine import distributed
        from engine.commands import dry_run, staged_run

        distributed.say(*command_line.length_note())
        if values.dry_run:
            return dry_run.dry_run(stages)
        code = staged_run.train(stages, folder, values.overwrite, stop)
        if code == exits.DONE and values.report and distributed.is_main():
            from report import after_run

            after_run.of_run(folder)
        return code


if __name__ == "__main__":
    exits.run(main, command_line.parse)
