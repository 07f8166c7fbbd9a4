"""PR and ROC curves against scikit-learn's, and against VisualDL's own counts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve
from visualdl.component import base_component

from engine.results.visualdl.curves import THRESHOLDS, curve


def _scores(images=300):
    rng = np.random.default_rng(0)
    is_class = rng.random(images) < 0.3
    return is_class, np.clip(rng.normal(0.3 + 0.4 * is_class, 0.25), 0, 1)


def test_the_counts_are_those_of_scikit_learn():
    is_class, scores = _scores()
    found = curve(is_class, scores)
    rounded = np.floor(scores * (THRESHOLDS - 1)) / (THRESHOLDS - 1)
    precision, recall, thresholds = precision_recall_curve(is_class, rounded)
    places = np.round(thresholds * (THRESHOLDS - 1)).astype(int)
    np.testing.assert_allclose(found.precision[places], precision[:-1])
    np.testing.assert_allclose(found.recall[places], recall[:-1])
    false, true, thresholds = roc_curve(is_class, rounded, drop_intermediate=False)
    places = np.round(thresholds[1:] * (THRESHOLDS - 1)).astype(int)
    np.testing.assert_allclose(found.false_positive_rate[places], false[1:])
    np.testing.assert_allclose(found.recall[places], true[1:])


def test_the_thresholds_are_those_that_visualdl_has(monkeypatch):
    """Its own function, with the name of numpy's that it misses."""
    monkeypatch.setattr(np, "float", float, raising=False)
    is_class, scores = _scores()
    theirs = base_component.compute_curve(is_class, scores, THRESHOLDS)
    found = curve(is_class, scores)
    for name in ("tp", "fp", "tn", "fn"):
        assert getattr(found, name).tolist() == theirs[name]
    np.testing.assert_allclose(found.recall, theirs["recall"])


@pytest.mark.parametrize("of_class", [0, 1])
def test_one_image(of_class):
    found = curve(np.array([bool(of_class)]), np.array([0.5], np.float32))
    assert np.isfinite([found.precision, found.recall, found.false_positive_rate]).all()
    assert found.precision[-1] == 1  # nothing is taken for the class
    assert found.recall[0] == of_class


def test_what_is_not_a_number_counts_as_zero():
    found = curve(np.array([True, False]), np.array([np.nan, 1.0]))
    assert found.tp.tolist() == [1] + [0] * (THRESHOLDS - 1)
    assert found.fp[-1] == 1
