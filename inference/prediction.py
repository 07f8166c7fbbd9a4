"""What a classifier says of an image."""

from __future__ import annotations

import heapq
from typing import NamedTuple


class Prediction(NamedTuple):
    """The class of an image, and how probable each class is.

    Attributes:
        name: of the most probable class; of equal ones the first in the order of the classes.
        probability: of that class, 0 to 1.
        probabilities: of each class by its name, in the order of the classes.
    """

    name: str
    probability: float
    probabilities: dict[str, float]

    def top(self, count: int) -> list[tuple[str, float]]:
        """Returns the names and probabilities of the most probable classes, the highest first."""
        return heapq.nlargest(count, self.probabilities.items(), key=lambda pair: pair[1])

    def __repr__(self) -> str:
        return f"Prediction(name={self.name!r}, probability={self.probability:.4f})"


def predicted(names: tuple[str, ...], probabilities: list[float]) -> Prediction:
    """Returns the prediction of probabilities in the order of the names."""
    best = max(range(len(names)), key=probabilities.__getitem__)
    return Prediction(names[best], probabilities[best], dict(zip(names, probabilities)))
