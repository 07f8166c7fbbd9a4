"""Measure how much of a model's features survives its noise, before a run is spent on it.

    python -m tools.noise --config=configs/NAME.py [--config.group.field=value ...] [--row=ROW] \\
        [--images=64] [--passes=2] [--rates=0.01,0.1] [--json=FILE] [--png=FILE] [--variants]

Takes the config's model, its weights (model.pretrained) and images of its data as evaluation sees
them. For each place of noise and each rate it says what survives of the features that the head
reads: the cosine between those with and without noise, after the mean over the images is taken off,
as a mean over images and passes. 1: all; 0: nothing of what tells images apart. Next to it: KL
between the passes, and the rate at which 0.9 survives. Nothing is trained. --variants also tries
kinds of dropout that no run has, for ViT and DeiT.
"""

from __future__ import annotations

import math

from absl import flags

from common.atomic_writing import write_json
from common.errors import UserError
from program import command_line, exits, paddle_setup, tool_arguments
from program.config import config_validation

_SPLITS = ("auto", "train", "val", "test")
_MOST_IMAGES, _MOST_PASSES, _MOST_RATES = 10_000, 100, 50


def _parse(argv: list[str]) -> list[str]:
    """Defines and reads the flags; an import does not define them."""
    flags.DEFINE_integer("images", 64, "Images, spread evenly over the part of the data.")
    flags.DEFINE_integer("passes", 2, "Passes of each noise.")
    flags.DEFINE_string("rates", "", "Drop rates, separated by commas; empty: 0.003 to 0.5.")
    flags.DEFINE_string(
        "split",
        "auto",
        "Part of the data: train, val, test; auto: the held-out images, or those of training.",
    )
    flags.DEFINE_boolean("variants", False, "Also try kinds of dropout that no run has.")
    flags.DEFINE_string("json", "", "File to write all values to.")
    flags.DEFINE_string("png", "", "Picture to write (png, jpg, pdf).")
    command_line.define_row()
    return command_line.parse(argv)


def _rates(text: str) -> list[float]:
    """Reads the rates of the flag; [] where there are none.

    Raises:
        UserError: when one of them is no rate.
    """
    found = []
    for word in filter(None, text.replace(" ", "").split(",")):
        try:
            rate = float(word)
        except ValueError:
            rate = math.nan
        if not 0 < rate < 1:
            raise UserError(f"--rates: {word!r} is no drop rate above 0 and below 1")
        found.append(rate)
    if len(found) > _MOST_RATES:
        raise UserError(f"--rates has {len(found)} rates, expected at most {_MOST_RATES}")
    return sorted(set(found))


def _check(values) -> None:
    for name, least, most in (("images", 2, _MOST_IMAGES), ("passes", 2, _MOST_PASSES)):
        if not least <= values[name].value <= most:
            raise UserError(f"--{name} is {values[name].value}, expected {least} to {most}")
    if values.split not in _SPLITS:
        raise UserError(f"--split is {values.split!r}, expected one of {', '.join(_SPLITS)}")


def main(argv: list[str]) -> int:
    """Measures the noise of the flags' config; returns the exit code."""
    values = command_line.FLAGS
    _check(values)
    rates = _rates(values.rates)
    config = next(iter(command_line.stages(values.row).values()))
    config_validation.validate(config)
    json_path = tool_arguments.check_output("--json", values.json)
    png = tool_arguments.check_output("--png", values.png)
    if png and png.suffix.lower() not in (".png", ".jpg", ".jpeg", ".pdf"):
        raise UserError(f"--png: {png} ends in none of .png, .jpg, .pdf")
    paddle_setup.load_paddle()
    from tools.survival import picture, study, text, variants

    rates = rates or [*study.RATES]
    subject = study.subject_of(config, values.split, values.images)
    if values.variants:
        variants.check(subject.model)
    found = study.measure(subject, rates, values.passes)
    print(*text.describe(found), sep="\n")
    content = study.as_json(found)
    if values.variants:
        tried = variants.measure(subject, rates, values.passes)
        print("", *variants.describe(tried, rates), sep="\n")
        content["variants"] = tried
    if json_path:
        write_json(json_path, content)
        print(f"values: {json_path}")
    if png:
        picture.draw(found, png)
        print(f"picture: {png}")
    return exits.DONE


if __name__ == "__main__":
    exits.run(main, _parse)
