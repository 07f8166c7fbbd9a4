"""Prepares the data or the weights of a config, and checks that they are those of a figure.

    python -m tools.reproduction.work.preparing --part=data --config=... --json=FILE \\
        --classes=100 --train_images=50000 --test_images=10000
    python -m tools.reproduction.work.preparing --part=weights --config=... --json=FILE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import digest, user_path
from program import command_line, exits, paddle_setup
from program.config import config_fields


def _parse(argv: Sequence[str]) -> list[str]:
    flags.DEFINE_enum("part", "data", ["data", "weights"], "What to prepare.")
    flags.DEFINE_string("json", None, "Where to write what was found.", required=True)
    flags.DEFINE_integer("classes", 0, "Of the whole data set; 0: any.")
    flags.DEFINE_integer("train_images", 0, "Of the whole data set; 0: any.")
    flags.DEFINE_integer("test_images", 0, "Of the whole data set; 0: any.")
    flags.DEFINE_string("sha256", "", "Of the weights; empty: any.")
    flags.DEFINE_string("md5", "", "Of the weights; empty: any.")
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


def weights_of(config: ConfigDict, checksums: dict[str, str]) -> dict[str, Any]:
    """Gets the weights that a config begins with, and its teacher's.

    Args:
        config: of the run.
        checksums: expected ones of `model.pretrained`, or of the teacher where the config has no
            other weights, by algorithm.

    Raises:
        UserError: when they can't be had, or a checksum differs.
    """
    from models.weights.sources import locations
    from tools.reproduction.work.fetching import patiently

    found: dict[str, Any] = {}
    for name in ("model.pretrained", "distill.weights"):
        source = config_fields.flattened(config)[name]
        if not source:
            continue
        address = locations.address_of(source)
        kept = locations.kept_path(getattr(address, "url", "") or source)
        path = patiently(lambda source=source: locations.locate(source), kept)
        found[name] = {"source": source, "path": str(path)}
        if not path.is_file():
            continue
        found[name].update(sha256=digest(path, "sha256"), bytes=path.stat().st_size)
        if len(found) == 1:
            _compare(path, checksums)
    return found


def _compare(path, checksums: dict[str, str]) -> None:
    for algorithm, expected in checksums.items():
        have = digest(path, algorithm)[: len(expected)] if expected else ""
        if have != expected:
            raise UserError(
                f"{path}: {algorithm} is {have}, the published file's is {expected}; delete it and "
                "get it again"
            )


def main(argv: list[str]) -> int:
    """Prepares what the flags name; returns the exit code."""
    values = command_line.FLAGS
    config = next(iter(command_line.stages(values.row).values()))
    paddle_setup.load_paddle()
    if values.part == "weights":
        found = weights_of(config, {"sha256": values.sha256, "md5": values.md5})
    else:
        found = data_of(config, values.classes, values.train_images, values.test_images)
    write_json(user_path(values.json), found)
    return exits.DONE


if __name__ == "__main__":
    exits.run(main, _parse)
