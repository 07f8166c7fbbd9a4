"""Hyper-parameters as VisualDL's page can show them."""

from __future__ import annotations

from configs import default, digits_ce, digits_rdrop
from engine.results.visualdl.settings import COLUMNS, settings


def test_names_and_types_are_the_same_in_all_runs():
    """VisualDL looks for a column's values by its name, and for their kind in the first run."""
    config = default.get_config()
    config.rdrop.alpha = 3  # an integer is a float here
    first, second = settings(config, 64, 100), settings(digits_ce.get_config(), 32, 50)
    assert first.keys() == second.keys()
    assert [type(first[name]) for name in first] == [type(second[name]) for name in first]
    assert isinstance(first["alpha"], float)
    assert (first["alpha"], second["copies"]) == (3.0, 1)
    assert (second["batch"], second["steps"]) == (32, 50)


def test_names_fit_into_the_page():
    """A dot empties a cell; a name wider than its column stops the page. Three figures follow."""
    names = list(settings(default.get_config(), 1, 1))
    assert len(names) <= 10
    assert len(set(names)) == len(COLUMNS) + 3
    assert not [name for name in names if "." in name or len(name) > 9]


def test_others_are_what_differs_from_the_defaults():
    config = default.get_config()
    assert settings(config, 1, 1)["others"] == "-"
    config.data.update(root="/a", mixup_alpha=0.8)  # where the data lies makes no difference
    config.train.update(keep_checkpoints=7, histogram_every_steps=3)
    config.optim.nesterov = True
    assert settings(config, 1, 1)["others"] == "data.mixup_alpha=0.8, optim.nesterov=True"


def test_a_name_that_is_not_unicode():
    config = digits_rdrop.get_config()
    config.data.auto_augment = "\udcff"
    config.model.pretrained = "a" * 1000
    others = settings(config, 1, 1)["others"]
    assert others.encode()
    assert len(others) <= 300
