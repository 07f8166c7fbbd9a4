"""Every data set is registered, and the registry says of it what is true."""

import importlib
from functools import partial

from conftest import ROOT
from small_data import small_config

import data
from data.sets.registry import DATASETS


def test_every_file_with_a_data_set_is_registered():
    loads = [entry.load for entry in DATASETS.values()]
    registered = {(one.func if isinstance(one, partial) else one).__module__ for one in loads}
    for path in sorted((ROOT / "data" / "sets").glob("*.py")):
        module = importlib.import_module(f"data.sets.{path.stem}")
        if hasattr(module, "load") and path.stem != "__init__":
            assert module.__name__ in registered, "it has no line in data/sets/registry.py"


def test_what_is_known_before_reading_is_true():
    """Of the data sets that are made without any file."""
    for name in ("digits",):
        entry, train = DATASETS[name], data.build(small_config(name), "train")
        assert (entry.train_images, entry.num_classes) == (len(train), len(train.classes))
        assert train.source.images[0].shape == (entry.side, entry.side, 3)
