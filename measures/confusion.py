"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def counts(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Returns the confusion matrix `(classes, classes)`: a row is a true class."""
    found = np.bincount(labels * classes + predicted, minlength=classes**2)
    return found.reshape(classes, classes)


def most_confused(matrix: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Returns the classes with the most mistakes, at most `most`, in the order of the matrix.

    A mistake counts for the true class and for the class that was named.
    """
    wrong = matrix - np.diag(np.diag(matrix))
    mistakes = wrong.sum(axis=0) + wrong.sum(axis=1)
    order = np.argsort(-mistakes, kind="stable")[:most]
    return np.sort(order)


def accuracy_of_classes(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the share of right predictions of each class; nan for a class without images."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(matrix) / matrix.sum(axis=1))
