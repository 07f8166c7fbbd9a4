"""Draw what the model sees in a training step: cropped, augmented, normalised, erased, mixed.

    python -m tools.show_batch --config=configs/NAME.py [--config.group.field=value ...] \\
        [--row=ROW] --output grid.png

Shows the first images of the first micro-batch of `--step`, as a run on one card takes them, with
their targets; images without labels are left out. The normalisation is undone before drawing.
"""

from pathlib import Path

from absl import flags

from common.atomic_writing import atomic_path
from common.errors import UserError
from common.reading import user_path
from program import command_line, exits, paddle_setup, tool_arguments
from program.config import config_validation

_COLUMNS = 4
_NAMED = 0.01  # the smallest part of a target that is named


def _parse(argv: list[str]) -> list[str]:
    """Defines and reads the flags; an import does not define them."""
    flags.DEFINE_string("output", None, "The picture to write (png, jpg, pdf).", required=True)
    flags.DEFINE_integer("step", 0, "The optimiser step, from 0.", lower_bound=0)
    flags.DEFINE_integer(
        "images", 16, "How many images to show, at most those of a micro-batch.", lower_bound=1
    )
    command_line.define_row()
    return command_line.parse(argv)


def seen(config, step: int):
    """Returns what the model sees in the first micro-batch of a step.

    Args:
        config: as `config_validation.validate` accepts it.
        step: number of optimiser steps before it.

    Returns:
        Images uint8 `(B, 3, S, S)` with the normalisation undone, targets float32 `(B, C)`, and the
        names of the classes.

    Raises:
        UserError: when the config can't be trained.
    """
    import numpy as np
    import paddle.nn.functional as F

    import data
    from engine.plan import recipe, resolve_config, run_plan
    from engine.step.objective import Objective

    config = resolve_config.with_input(recipe.resolve(config))
    dataset = data.build(config, "train")
    config = resolve_config.with_classes(config, len(dataset.classes))
    run_plan.make(config, len(dataset))  # refuses what can't be trained
    sampler = data.TrainSampler(
        dataset,
        config.train.batch_size,
        config.train.accumulation_steps,
        step + 1,
        config.seed,
        step,
        config.data.repeats,
    )
    batch = next(iter(data.load(dataset, sampler, workers=0)))
    config.rdrop.unlabelled_batch_size = 0
    images, targets = Objective(config).prepare(batch, step, micro_batch=0)
    mean, std = np.reshape([config.model.mean, config.model.std], (2, 1, 3, 1, 1)) * 255
    pixels = np.clip(np.rint(images.numpy() * std + mean), 0, 255).astype(np.uint8)
    targets = F.one_hot(targets, len(dataset.classes)) if targets.ndim == 1 else targets
    return pixels, targets.numpy(), dataset.classes


def describe(target, classes: tuple[str, ...]) -> str:
    """Returns a target `(C,)` in words: its classes, the largest part first, then the rest.

    Label smoothing adds the same small part to every class: what is no larger is summed up.
    """
    even = target.min()
    named = [label for label in (-target).argsort(kind="stable") if target[label] > even + _NAMED]
    parts = [f"{classes[label]} {target[label]:.2f}" for label in named]
    rest = 1 - sum(target[label] for label in named)
    return ", ".join([*parts, f"others {rest:.2f}"] if rest > _NAMED or not parts else parts)


def draw(pixels, captions: list[str], path: Path) -> None:
    """Draws images, uint8 `(B, 3, S, S)`, with a caption above each.

    Raises:
        UserError: when the picture can't be written.
    """
    from engine.results.picture_fonts import fonts_for

    try:
        with fonts_for(captions), atomic_path(path) as temporary:
            _figure(pixels, captions).savefig(temporary, dpi=120)
    except OSError as error:
        raise UserError(f"--output: {path}: {error.strerror}") from None


def _figure(pixels, captions: list[str]):
    from matplotlib.figure import Figure  # half a second to import

    rows = -(-len(pixels) // _COLUMNS)
    figure = Figure(figsize=(2.4 * _COLUMNS, 2.6 * rows), layout="constrained")
    cells = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for cell in cells:
        cell.axis("off")
    for cell, image, caption in zip(cells, pixels, captions):
        cell.imshow(image.transpose(1, 2, 0), interpolation="nearest")
        # Fonts take no bytes that are not Unicode text.
        text = caption.encode(errors="replace").decode()
        cell.set_title(text, fontsize=7, parse_math=False)
    return figure


def main(argv: list[str]) -> int:
    """Draws the batch of the flags; returns the exit code."""
    values = command_line.FLAGS
    config = next(iter(command_line.stages(values.row).values()))
    config_validation.validate(config)
    path = user_path(values.output)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".pdf"):
        raise UserError(f"--output: {path} ends in none of .png, .jpg, .pdf")
    tool_arguments.check_output("--output", path)
    paddle_setup.load_paddle()
    pixels, targets, classes = seen(config, values.step)
    shown = pixels[: values.images]
    captions = [describe(target, classes) for target in targets[: values.images]]
    draw(shown, captions, path)
    for number, caption in enumerate(captions, start=1):
        print(f"{number}: {caption}")
    print(f"{path}: {len(shown)} of the {len(pixels)} images of step {values.step}")
    return exits.DONE


if __name__ == "__main__":
    exits.run(main, _parse)
