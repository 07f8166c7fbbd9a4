"""Hyper-parameters as VisualDL's table can show them."""

from __future__ import annotations

from configs import default, digits_ce
from engine.results.visualdl.settings import FIELDS, settings


def test_names_and_types_are_the_same_in_all_runs():
    """VisualDL looks for a column's values by its name, and for their kind in the first run."""
    config = default.get_config()
    config.rdrop.alpha = 3  # an integer is a float here
    first, second = settings(config, 64, 100), settings(digits_ce.get_config(), 32, 50)
    assert first.keys() == second.keys()
    assert [type(first[name]) for name in first] == [type(second[name]) for name in first]
    assert len(first) == len(FIELDS) + 2
    assert first["rdrop/alpha"] == 3.0
    assert second["rdrop/copies"] == 1
    assert first["data/auto_augment"] == "none"
    assert first["optim/nesterov"] == "False"


def test_no_name_has_a_dot():
    """The table takes it for a path, and leaves the cell empty."""
    assert not [name for name in settings(default.get_config(), 1, 1) if "." in name]
