"""The confusion matrix against scikit-learn's, and the choice of classes by hand."""

import numpy as np
from sklearn.metrics import confusion_matrix

from measures import confusion


def test_counts():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    found = confusion.counts(labels, predicted, 6)
    assert (found == confusion_matrix(labels, predicted, labels=range(6))).all()
    assert confusion.counts(labels[:0], predicted[:0], 3).sum() == 0
    share = confusion.accuracy_of_classes(found)
    assert np.isnan(share[5])
    assert share[2] == (predicted[labels == 2] == 2).mean()


def test_most_confused():
    matrix = np.diag([9, 9, 9, 9])
    matrix[3, 1], matrix[0, 2] = 5, 1
    assert confusion.most_confused(matrix, 2).tolist() == [1, 3]
    assert confusion.most_confused(matrix, 3).tolist() == [0, 1, 3]
    assert confusion.most_confused(matrix, 30).tolist() == [0, 1, 2, 3]
