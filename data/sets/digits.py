"""Handwritten digits from scikit-learn: 1,797 real 8 x 8 images of 10 classes, no download.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test
part). The split is this project's: 500 test images are drawn with numpy's `RandomState(0)`, the
other 1,297 are for training.
"""

import numpy as np
from ml_collections import ConfigDict

from data.images.images_and_labels import ImagesAndLabels

TEST_IMAGES = 500


def load(data_config: ConfigDict, part: str) -> ImagesAndLabels:
    """Loads `train` or `test`; grey levels 0 to 16 become 0 to 255 in each of the RGB channels.

    Args:
        data_config: not used.
        part: `train` or `test`.
    """
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    chosen = order[:TEST_IMAGES] if part == "test" else order[TEST_IMAGES:]
    grey = np.rint(digits.images[chosen] * (255 / 16)).astype(np.uint8)  # (N, 8, 8)
    images = np.repeat(grey[..., None], 3, axis=-1)  # (N, 8, 8, 3)
    return ImagesAndLabels(images, digits.target[chosen].astype(np.int64), tuple("0123456789"))
