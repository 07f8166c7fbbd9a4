"""The user's own images (`data.name=folder`), in any layout that `data/layouts/` understands.

A root without a test part is divided: every tenth image of a class, in the order of the names, is
for the test.
"""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from data.files.open_tree import cache_folder, open_tree
from data.images.image_folders import image_names
from data.images.images_and_labels import ImageFiles, ImagesAndLabels
from data.layouts.find import find


def load(data_config: ConfigDict, part: str) -> ImagesAndLabels | None:
    """Lists `train`, `test`, or `val` of `data.root`; None where it has no `val` of its own."""
    return find(data_config).part(part, data_config.exif_orientation != "ignore")


def load_unlabelled(data_config: ConfigDict) -> ImagesAndLabels:
    """Lists all images of `data.unlabelled_root`, sorted by path; their labels are -1."""
    tree = open_tree(data_config.unlabelled_root, "data.unlabelled_root", cache_folder(data_config))
    files = [tree.file(name) for name in image_names(tree)]
    images = ImageFiles(files, data_config.exif_orientation != "ignore")
    return ImagesAndLabels(images, np.full(len(files), -1, np.int64), ())
