"""Other images for weights than those that they were trained on, on purpose or not."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ml_collections import ConfigDict

import data
from common.errors import UserError
from common.reading import read_json
from data.check import which_set
from program import run_folder
from program.config import config_fields

# Fields that choose from the images of a root; they mean nothing for another one.
_OF_ANOTHER_ROOT = {
    **dict.fromkeys(("train_list", "val_list", "test_list", "label_list"), ""),
    **dict.fromkeys(("image_column", "label_column", "unlabelled_root"), ""),
    **dict.fromkeys(("max_images", "labels_per_class"), 0),
    "label_noise": 0.0,
}


def with_root(config: ConfigDict, root: str, given: dict[str, object]) -> ConfigDict:
    """Returns a config whose images are those of another root.

    Args:
        config: of weights.
        root: a folder or an archive, whose contents tell which data set it is.
        given: fields that the user has set, which stay as they are.

    Raises:
        UserError: when there is no folder and no archive.
    """
    values = {f"data.{name}": value for name, value in _OF_ANOTHER_ROOT.items()}
    config = config_fields.changed(config, {**values, "data.root": root, **given})
    if "data.name" in given:
        return config
    return config_fields.changed(config, {"data.name": which_set.name_of(config.data)})


def changed_since(
    weights: str, stored: ConfigDict | None, used: ConfigDict, test: data.ImageDataset | None
) -> list[str]:
    """Returns a warning where a run's test images are not those that its result is of; else [].

    They change silently: without its folder `test/`, a root of class folders is divided anew.

    Args:
        weights: their file.
        stored: the config in it; None: it has none.
        used: the config of this evaluation; other data than the stored one's is meant to differ.
        test: the images; None: others are evaluated.
    """
    result = Path(weights).parent / run_folder.RESULT
    if test is None or stored is None or stored.data != used.data or not result.is_file():
        return []
    known = {}
    with contextlib.suppress(UserError):  # a damaged one tells nothing
        known = run_folder.test_images(read_json(result))
    if not known or known == test.identity():
        return []
    return [
        f"warning: these are not the test images of {result}: it is of {known.get('images')} "
        f"images, {used.data.root or used.data.name} has {len(test)} now, and they may have been "
        "trained on; put the old ones back to compare"
    ]
