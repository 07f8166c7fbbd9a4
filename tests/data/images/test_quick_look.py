"""A look at a file, without its pixels, says what decoding the whole file says."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, features

from common.errors import UserError
from data.files.stored_files import DiskFile
from data.images.image_files import decode
from data.images.quick_look import look, look_at


def _encoded(kind: str, **options) -> bytes:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _whole() -> dict[str, bytes]:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green")]
    found = {
        "plain.jpg": _encoded("JPEG"),
        "progressive.jpg": _encoded("JPEG", progressive=True),
        "plain.png": _encoded("PNG"),
        "plain.gif": _encoded("GIF"),
        "plain.webp": _encoded("WEBP"),
        "lossless.webp": _encoded("WEBP", lossless=True),
        "plain.bmp": _encoded("BMP"),
        "plain.tif": _encoded("TIFF"),
        "packed.tif": _encoded("TIFF", compression="tiff_lzw"),
        "plain.ppm": _encoded("PPM"),
        "plain.tga": _encoded("TGA"),
    }
    for kind, ending in (("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")):
        buffer = io.BytesIO()
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
        found[f"animated.{ending}"] = buffer.getvalue()
    if features.check("avif"):
        found["plain.avif"] = _encoded("AVIF")
    if features.check("jpg_2000"):
        found["plain.jp2"] = _encoded("JPEG2000")
    buffer = io.BytesIO()
    frames[0].save(buffer, "MPO", save_all=True, append_images=frames[1:])
    found["two.mpo"] = buffer.getvalue()
    return found


_WHOLE = _whole()


def _both(path) -> tuple[bool, bool]:
    """Returns whether a look, and decoding, find a file whole."""
    try:
        decode(path, str(path))
        decoded = True
    except UserError:
        decoded = False
    return look(DiskFile(str(path))) == "", decoded


@pytest.mark.parametrize("name", _WHOLE)
def test_whole_files(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(_WHOLE[name])
    assert _both(path) == (True, True)


@pytest.mark.parametrize("behind", [b"\0" * 100, b"\r\n", b"garbage" * 100, b"<html>" * 2000])
@pytest.mark.parametrize("name", _WHOLE)
def test_what_is_behind_the_end_is_no_damage(tmp_path, name, behind):
    path = tmp_path / name
    path.write_bytes(_WHOLE[name] + behind)
    looked, decoded = _both(path)
    assert looked == decoded
    if not name.endswith(("jp2", "avif")):
        assert decoded


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.98, -1, -2])
@pytest.mark.parametrize("name", _WHOLE)
def test_truncated_files(tmp_path, name, share):
    """A look never accepts what decoding refuses; by the last bytes it may be more careful."""
    path, content = tmp_path / name, _WHOLE[name]
    path.write_bytes(content[: int(share * len(content)) if share > 0 else share])
    looked, decoded = _both(path)
    assert looked == decoded


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"version https://git-lfs", bytes(999)])
@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "webp", "tif", "avif", "bmp"])
def test_files_that_are_no_images(tmp_path, ending, content):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    assert _both(path) == (False, False)
    assert f"a.{ending}: not a readable image" in look(DiskFile(str(path)))


def test_a_thumbnail_inside_of_a_truncated_photograph(tmp_path):
    """The EXIF has a whole small JPEG, with an end mark, at the beginning of the file."""
    small, exif = _encoded("JPEG"), Image.Exif()
    exif[0x9286] = small  # a comment, so within the metadata
    path = tmp_path / "a.jpg"
    path.write_bytes(_encoded("JPEG", exif=exif))
    assert _both(path) == (True, True)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(small) + len(small) + 700])
    assert _both(path) == (False, False)


def test_pixels_that_are_missing_before_an_end_mark(tmp_path):
    """A file that was cut short and got the end mark of another one."""
    path = tmp_path / "a.png"
    content = _WHOLE["plain.png"]
    end = struct.pack(">I", 0) + b"IEND\xaeB\x60\x82"
    path.write_bytes(content[: len(content) // 2] + end)
    assert _both(path)[1] is False


def test_many_files_keep_their_order(tmp_path):
    files = []
    for number in range(300):
        path = tmp_path / f"{number}.png"
        path.write_bytes(b"" if number % 50 == 7 else _WHOLE["plain.png"])
        files.append(DiskFile(str(path)))
    files.append(DiskFile(str(tmp_path / "gone.png")))
    found = look_at(files)
    assert [line.partition(".png")[0].rpartition("/")[2] for line in found] == [
        *("7", "57", "107", "157", "207", "257", "gone"),
    ]
