"""The parts of a data set that a check reads: those that a run of the same config would use."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from data.build import has_own_val, load_source
from data.files.open_tree import reused
from data.images.images_and_labels import ImagesAndLabels


def load_parts(config: ConfigDict) -> dict[str, ImagesAndLabels]:
    """Returns `train`, `val`, `test` and `unlabelled` of a config, those that there are.

    Nothing is decoded. Images whose labels are not used have the label -1.

    Raises:
        UserError: when the data is missing, or is not what the config says.
    """
    with reused():
        wanted = {
            "train": True,
            "val": config.data.holdout or has_own_val(config),
            "test": True,
            "unlabelled": config.rdrop.unlabelled_batch_size or config.data.unlabelled_root,
        }
        parts = {
            name: load_source(config, name, as_files=True) for name, use in wanted.items() if use
        }
    if "unlabelled" in parts:
        one = parts["unlabelled"]
        parts["unlabelled"] = one._replace(labels=np.full(len(one.labels), -1, np.int64))
    return parts
