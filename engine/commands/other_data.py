"""Other images for weights than those that they were trained on."""

from __future__ import annotations

from ml_collections import ConfigDict

from data.check import which_set
from program.config import config_fields

# Fields that choose from the images of a root; they mean nothing for another one.
_OF_ANOTHER_ROOT = {
    **dict.fromkeys(("train_list", "val_list", "test_list", "label_list"), ""),
    **dict.fromkeys(("image_column", "label_column", "unlabelled_root"), ""),
    **dict.fromkeys(("max_images", "labels_per_class"), 0),
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
