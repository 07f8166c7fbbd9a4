"""Maps over images, and images as text."""

import base64
import io

import numpy as np
from made_classifiers import random_images
from PIL import Image

from inference import pictures


def test_overlay():
    image = random_images(1, 40, 60)[0]
    values = np.zeros((2, 3), np.float32)
    values[0, 2] = 5
    found = pictures.overlay(image, values).astype(int)
    assert found.shape == (40, 60, 3)
    brightness = found.sum(axis=2) - 0.4 * image.sum(axis=0)  # without the image's share
    corner = brightness[:10, -10:].mean()
    assert corner > 4 * brightness[20:, :30].mean()
    assert corner > brightness[20:, -10:].mean()


def test_map_without_contrast():
    """A map that is the same everywhere, or not finite, is dark, without a warning."""
    image = np.full((3, 4, 4), 200, np.uint8)
    for values in (np.full((2, 2), 3, np.float32), np.full((2, 2), np.nan, np.float32)):
        found = pictures.overlay(image, values)
        assert (found == found[0, 0]).all()
        assert found.max() < 100


def test_scaled():
    found = pictures.scaled(np.array([[1.0, 3.0], [2.0, np.nan]], np.float32))
    np.testing.assert_allclose(found, [[1 / 3, 1], [2 / 3, 0]], rtol=1e-6)


def test_data_uri():
    image = pictures.upright(random_images(1, 5, 7)[0])
    head, text = pictures.data_uri(image).split(",")
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))), image)
    assert image.shape == (5, 7, 3)
