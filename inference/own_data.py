"""The images that a classifier was trained and tested on."""

from __future__ import annotations

import data
from engine.state import run_weights
from inference.classifier import Classifier
from program.config import config_fields


def own_data(
    classifier: Classifier, split: str, fields: dict[str, object] | None = None
) -> data.ImageDataset:
    """Returns a part of the data of the run that a classifier comes from, without augmentation.

    Args:
        classifier: whose config names the data.
        split: as in `data.build`.
        fields: of the config that are others now, such as `data.root`.

    Raises:
        UserError: when the data is not there, or has other classes.
    """
    config = config_fields.changed(classifier.config, {"data.resize_on": "host", **(fields or {})})
    dataset = data.build(config, split, augment=False)
    run_weights.check_classes(dataset.classes, classifier.classes, classifier.origin)
    return dataset
