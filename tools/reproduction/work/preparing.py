"""Prepares the data or the weights of a config, and checks that they are those of a figure.

    python -m tools.reproduction.work.preparing --part=data --config=... --json=FILE \\
        --classes=100 --train_images=50000 --test_images=10000
    python -m tools.reproduction.work.preparing --part=weights --config=... --json=FILE
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import digest, user_path
from program import command_line, exits, paddle_setup
from program.config import config_fields
from tools.reproduction import starting_weights
from tools.reproduction.starting_weights import StartingWeights
from tools.reproduction.work.fetching import patiently


def _parse(argv: Sequence[str]) -> list[str]:
    flags.DEFINE_enum("part", "data", ["data", "weights"], "What to prepare.")
    flags.DEFINE_string("json", None, "Where to write what was found.", required=True)
    flags.DEFINE_integer("classes", 0, "Of the whole data set; 0: any.")
    flags.DEFINE_integer("train_images", 0, "Of the whole data set; 0: any.")
    flags.DEFINE_integer("test_images", 0, "Of the whole data set; 0: any.")
    flags.DEFINE_string("published", "", "Name of a published config, for checksums; empty: none.")
    command_line.define_row()
    return command_line.parse(argv)


def data_of(
    config: ConfigDict, classes: int, train_images: int, test_images: int
) -> dict[str, Any]:
    """Reads the lists of a data set, and decodes what is decoded once.

    Raises:
        UserError: when it is not whole.
    """
    from data.build import load_source

    whole = config_fields.changed(config, {"data.holdout": 0.0, "data.max_images": 0})
    whole = config_fields.changed(whole, {"data.labels_per_class": 0})
    train, test = (load_source(whole, part) for part in ("train", "test"))
    found = {
        "classes": len(train.classes),
        "train_images": len(train.labels),
        "test_images": len(test.labels),
    }
    wanted = {"classes": classes, "train_images": train_images, "test_images": test_images}
    for name, count in wanted.items():
        if count and found[name] != count:
            raise UserError(
                f"the data at {config.data.root or config.data.name} has {found[name]:,} "
                f"{name.replace('_', ' ')}, the figure's has {count:,}: give the whole data set by "
                "--data, or rehearse with --scale tiny"
            )
    return found


def weights_of(config: ConfigDict, known: Sequence[StartingWeights]) -> dict[str, Any]:
    """Gets the weights that a config begins with, and its teacher's.

    Args:
        config: of the run.
        known: what is known of the published files, with their checksums.

    Raises:
        UserError: when they can't be had, or a checksum differs.
    """
    from models.weights.sources import locations

    found: dict[str, Any] = {}
    for name, source in (
        ("model.pretrained", config.model.pretrained),
        ("distill.weights", config.distill.weights),
    ):
        if not source:
            continue
        address = locations.address_of(source)
        kept = locations.kept_path(getattr(address, "url", source))
        path = patiently(partial(locations.locate, source), kept)
        found[name] = {"source": source, "path": str(path)}
        if path.is_file():
            found[name].update(sha256=digest(path, "sha256"), bytes=path.stat().st_size)
            for one in known:
                if one.source == source:
                    check(path, one)
    return found


def check(path: Path, known: StartingWeights) -> None:
    """Compares a file with the checksums that its publisher states, if any."""
    for algorithm, expected in (("sha256", known.sha256), ("md5", known.md5)):
        have = digest(path, algorithm) if expected else None
        if have != expected:
            raise UserError(
                f"{path}: its {algorithm} is {have}, that of {known.file} of {known.publisher} is "
                f"{expected}; delete it and get it again"
            )


def main(argv: list[str]) -> int:
    """Prepares what the flags name; returns the exit code."""
    values = command_line.FLAGS
    config = next(iter(command_line.stages(values.row).values()))
    paddle_setup.load_paddle()
    if values.part == "weights":
        known = starting_weights.of_config(values.published) if values.published else []
        found = weights_of(config, known)
    else:
        found = data_of(config, values.classes, values.train_images, values.test_images)
    write_json(user_path(values.json), found)
    return exits.DONE


if __name__ == "__main__":
    exits.run(main, _parse)
