"""Which values VisualDL's histograms of weights and gradients count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 50


def finite_values(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the values that are finite, `(N,)`, as float64: bins can be as narrow as needed."""
    return values[np.isfinite(values)].astype(np.float64)
