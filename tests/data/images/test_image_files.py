"""Images of every mode become RGB as a person sees them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from data.files.stored_files import DiskFile
from data.images.image_files import decode
from data.images.images_and_labels import ImageFiles


def _saved(image: Image.Image, path):
    image.save(path)
    return decode(path, str(path))


def test_greyscale_and_palette(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = _saved(Image.fromarray(grey), tmp_path / "grey.png")
    assert (found == grey[..., None]).all()
    assert found.shape == (16, 16, 3)
    palette = Image.fromarray(np.stack([grey, 255 - grey, grey // 2], -1)).quantize(64)
    assert (_saved(palette, tmp_path / "palette.png") == np.asarray(palette.convert("RGB"))).all()


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    found = _saved(Image.fromarray(deep), tmp_path / "deep.png")
    np.testing.assert_allclose(found[..., 0], deep / 257, atol=0.51)


def test_the_scale_of_sixteen_bits_does_not_depend_on_the_content(tmp_path):
    for value in (255, 256, 40_000):
        dark = _saved(Image.fromarray(np.full((4, 4), value, np.uint16)), tmp_path / "dark.png")
        assert (dark == round(value / 257)).all()
    bright = _saved(Image.fromarray(np.full((4, 4), 0.5, np.float32)), tmp_path / "float.tiff")
    assert (bright == 128).all()


def test_transparent_is_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255  # the upper half is opaque black, the lower is transparent
    found = _saved(Image.fromarray(pixels), tmp_path / "alpha.png")
    assert (found[:2] == 0).all()
    assert (found[2:] == 255).all()


def test_cmyk(tmp_path):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    found = _saved(image, tmp_path / "cmyk.jpg")
    assert found[..., 0].min() > 230
    assert found[..., 1:].max() < 60


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        tmp_path / "whole.jpg"
    )
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    files = ImageFiles([DiskFile(str(tmp_path / name)) for name in ("empty.jpg", "cut.jpg")])
    for position, name in enumerate(("empty.jpg", "cut.jpg")):
        with pytest.raises(UserError, match=name):
            files[position]
