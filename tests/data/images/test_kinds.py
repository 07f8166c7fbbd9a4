"""Images by their endings and their contents; what is none is counted, junk is not even that."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import pytest
from data_trees import COLOURS, folders, found_in, picture, read, said, write
from PIL import Image, ImageOps, features

from common.errors import UserError
from data.files.stored_files import DiskFile
from data.images import image_files, image_kinds
from data.images.image_files import decode
from data.images.image_folders import images_below
from data.images.images_and_labels import ImageFiles

_ENDINGS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "jif", "mpo"),
    "PNG": ("png", "apng"),
    "WEBP": ("webp",),
    "BMP": ("bmp", "dib"),
    "GIF": ("gif",),
    "TIFF": ("tif", "tiff"),
    "PPM": ("ppm", "pnm"),
    "TGA": ("tga",),
}
if features.check("avif"):
    _ENDINGS["AVIF"] = ("avif",)
if features.check("jpg_2000"):
    _ENDINGS["JPEG2000"] = ("jp2", "jpf", "jpx")
_PAIRS = [(kind, ending) for kind, endings in _ENDINGS.items() for ending in endings]


def _encoded(kind: str, image: Image.Image | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    (image or Image.new("RGB", (16, 12), COLOURS[0])).save(buffer, kind, **options)
    return buffer.getvalue()


def _near(content: bytes, name: str) -> bool:
    pixels = decode(content, name)
    return pixels.shape == (12, 16, 3) and np.abs(pixels - np.array(COLOURS[0])).max() < 12


@pytest.mark.parametrize(("kind", "ending"), _PAIRS)
def test_each_ending_in_each_case(tmp_path, kind, ending):
    content = _encoded(kind)
    forms = {ending.lower(), ending.upper(), ending.title()}
    for number, form in enumerate(sorted(forms)):
        write(tmp_path, {f"{number}.{form}": content})
    found = images_below(tmp_path)
    assert len(found) == len(forms)
    assert all(_near(path.read_bytes(), path.name) for path in found)


@pytest.mark.parametrize("kind", [kind for kind in _ENDINGS if kind != "TGA"])
@pytest.mark.parametrize("name", ["8f3a01", "photo.jpg_large", "a.b7", "photo.jpg", "photo.png"])
def test_no_ending_and_wrong_ones(tmp_path, kind, name):
    write(tmp_path, {name: _encoded(kind), "text": "a text", "b.dat": b"\0\1\2\3"})
    assert [path.name for path in images_below(tmp_path)] == [name]
    assert _near((tmp_path / name).read_bytes(), name)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_frame(kind):
    frames = [Image.new("RGB", (16, 12), colour) for colour in COLOURS[:2]]
    content = _encoded(kind, frames[0], save_all=True, append_images=frames[1:])
    assert _near(content, "animated")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16", "F", "YCbCr", "LAB"])
def test_modes(mode):
    """A grey area is grey, but for two colours, which are dots of black and white."""
    grey = Image.new("RGB", (16, 12), (128, 128, 128))
    if mode == "I;16":
        image = Image.fromarray(np.full((12, 16), 128 * 257, np.uint16))
    elif mode == "LAB":
        image = Image.new("LAB", (16, 12), (137, 128, 128))
    else:
        image = grey.quantize(2) if mode == "P" else grey.convert(mode)
    kind = {"CMYK": "JPEG", "YCbCr": "JPEG", "F": "TIFF", "LAB": "TIFF"}.get(mode, "PNG")
    pixels = decode(_encoded(kind, image), "x")
    assert pixels.shape == (12, 16, 3)
    bound = 128 if mode == "1" else 3
    assert np.abs(pixels.astype(int) - 128).max() <= bound


def _turned(kind: str, orientation: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    return _encoded(kind, Image.fromarray(pixels), exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientations(kind, orientation):
    content = _turned(kind, orientation)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert (decode(content, "x", exif=True) == expected).all()
    stored = decode(content, "x", exif=False)
    if kind != "TIFF":  # which Pillow always turns
        assert stored.shape == (12, 16, 3)
        assert (stored == decode(_turned(kind, 1), "x")).all()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_are_none(orientation):
    content = _turned("JPEG", orientation)
    assert (decode(content, "x", exif=True) == decode(content, "x")).all()


@pytest.mark.parametrize("place", range(0, 26, 3))
def test_a_damaged_exif_turns_nothing_or_as_it_says(place):
    content = bytearray(_turned("JPEG", 6))
    start = content.index(b"Exif\0\0") + 6
    content[start + place] ^= 0xFF
    pixels = decode(bytes(content), "x", exif=True)
    assert pixels.shape in ((12, 16, 3), (16, 12, 3))


def test_who_turns_images(tmp_path):
    """`auto` turns people's own images, and not those of ImageNet."""
    files = folders("", 10)
    files["ant/0.png"] = _turned("PNG", 6)
    root = write(tmp_path / "root", files)
    for exif, size in ((True, (16, 12, 3)), (False, (12, 16, 3))):
        images = ImageFiles([DiskFile(str(root / "ant/0.png"))], exif)
        assert images[0].shape == size
    train = found_in(root).part("train", True)
    place = train.names().index("0.png")
    assert train.images[place].shape == (16, 12, 3)
    from data.config_checks import usual_exif

    assert (usual_exif("folder"), usual_exif("imagenet")) == ("apply", "ignore")


def test_huge_images(monkeypatch):
    monkeypatch.setattr(image_files, "_MOST_PIXELS", 100 * 80)
    large = Image.new("RGB", (320, 240), COLOURS[0])
    pixels = decode(_encoded("JPEG", large), "x")
    assert pixels.shape == (60, 80, 3)  # a quarter of each side
    assert np.abs(pixels - np.array(COLOURS[0])).max() < 12
    with pytest.raises(UserError, match=r"320 x 240 pixels, expected up to 8,000"):
        decode(_encoded("PNG", large), "x")
    monkeypatch.setattr(image_files, "_MOST_REDUCED", 70_000)
    with pytest.raises(UserError, match=r"320 x 240 pixels, expected up to 70,000"):
        decode(_encoded("JPEG", large), "x")


def test_a_huge_image_is_turned(monkeypatch):
    monkeypatch.setattr(image_files, "_MOST_PIXELS", 100 * 80)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = _encoded("JPEG", Image.new("RGB", (320, 240), COLOURS[0]), exif=exif)
    assert decode(content, "x", exif=True).shape == (80, 60, 3)


@pytest.mark.parametrize(
    ("size", "whole"), [((300, 3), True), ((303, 3), False), ((1, 101), False)]
)
def test_strips(size, whole):
    content = _encoded("PNG", Image.new("RGB", size))
    if whole:
        assert decode(content, "x").shape == (size[1], size[0], 3)
    else:
        with pytest.raises(UserError, match="at most 100 times the other"):
            decode(content, "x")


def test_heic(tmp_path, monkeypatch):
    """Its images are counted, with what to install, or read."""
    if importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        buffer = io.BytesIO()
        pillow_heif.from_pillow(Image.new("RGB", (64, 64), COLOURS[0])).save(buffer)
        assert np.abs(decode(buffer.getvalue(), "a.heic") - np.array(COLOURS[0])).max() < 16
        assert image_kinds.kind_by_content(buffer.getvalue()[:64]) == "HEIF"
    unreadable = image_kinds.readable_kinds() - {"HEIF"}
    for module in ("data.images.image_files", "data.images.image_folders"):
        monkeypatch.setattr(f"{module}.readable_kinds", lambda: unreadable)
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    root = write(
        tmp_path / "root", {**folders("", 10), "ant/a.HEIC": content, "bee/b.heif": content}
    )
    assert sum(read(root).values()) == 30
    notes = said(root)
    assert "1 .heic" in notes
    assert "pip install pillow-heif" in notes
    with pytest.raises(
        UserError, match="it is HEIF, which is not read here: pip install pillow-heif"
    ):
        decode(content, "photo.jpg")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html>", "it is a web page"),
        (b"\xef\xbb\xbf<html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b'{"error": 404}', "it is JSON"),
        (b"%PDF-1.4", "it is a PDF"),
        (b"\xff\xd8\xff\xe0", "it is a damaged JPEG file"),
        (b"\0\1\2\3", "of no known format"),
    ],
)
def test_what_a_damaged_file_is(content, words):
    with pytest.raises(UserError, match=words):
        decode(content, "x.jpg")


_JUNK = (
    *("__MACOSX/ant/._0.png", "__macosx/a.png", "._0.png", "ant/._0.png", ".DS_Store", "Icon\r"),
    *("ant/Thumbs.db", "THUMBS.DB", "ant/thumbs.db:encryptable", "desktop.ini", "ant/Desktop.ini"),
    *("$RECYCLE.BIN/a/b.png", "System Volume Information/a.png", "RECYCLER/a.png"),
    *("@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "ant/@eaDir/0.png/SYNOFILE_THUMB_M.png", "@tmp/a.png"),
    *("ant/0.png@SynoEAStream", "ant/0.png@SynoResource", "#recycle/a.png", "#snapshot/a/b.png"),
    *("@Recycle/a.png", ".@__thumb/a.png", "ant/.@__thumb/0.png", "@Recently-Snapshot/a/a.png"),
    *(".ipynb_checkpoints/a.png", "ant/.ipynb_checkpoints/0-checkpoint.png", ".git/a.png"),
    *(".svn/a.png", "__pycache__/a.pyc", ".dropbox.cache/a.png", ".Trash-1000/a/b.png"),
    *("ant/0.png~", "~$list.xlsx", "ant/.0.png.swp", "a.lnk", "a.url", "lost+found/a.png"),
    *("ant/Picasa.ini", "ant/ZbThumbnail.info", ".thumbnails/a.png", "found.001/a.png"),
)


@pytest.mark.parametrize("name", _JUNK)
def test_junk_is_nothing(tmp_path, name):
    for start in ("", "train/"):
        root = write(tmp_path / f"root{start}", {**folders(start, 10), start + name: picture(1)})
        assert sum(read(root).values()) == 30
        assert "left out" not in said(root)


@pytest.mark.parametrize(
    "ending",
    [
        *("baiduyun.downloading", "downloading", "xltd", "td", "crdownload", "part", "aria2"),
        *("tmp", "bak", "!ut", "partial", "opdownload", "txt", "json", "xml", "psd", "CR2", "zip"),
    ],
)
def test_what_is_no_image_is_counted(tmp_path, ending):
    """Half a JPEG, as downloads leave it, begins like a whole one."""
    half = picture(0, "jpeg")[:100] if ending not in ("txt", "json", "xml") else b"x"
    files = {**folders("", 10), f"ant/5.jpg.{ending}": half, f"bee/6.jpg.{ending}": half}
    root = write(tmp_path / "root", files)
    assert sum(read(root).values()) == 30
    last = ending.rpartition(".")[2].lower()
    assert f"2 .{last} (such as {root}/ant/5.jpg.{ending})" in said(root)


def test_classes_that_sound_like_junk(tmp_path):
    names = ("CVS", "recycled", "tmp")
    assert read(write(tmp_path / "root", folders("", 11, names)), names)["train"] == 30


def test_loose_images_are_counted(tmp_path):
    files = {**folders("train/", 6), **folders("test/", 2)}
    files.update({f"train/IMG_{n}.jpg": picture(0) for n in range(4)})
    assert "next to the class folders, so of no class: 4 .jpg" in said(write(tmp_path / "a", files))


def test_known_other_files_are_not_opened(tmp_path, monkeypatch):
    """A text that begins like an image is none; only names that say nothing are looked into."""
    opened = []
    beginning = DiskFile.beginning

    def counted(self, count):
        opened.append(self.name)
        return beginning(self, count)

    monkeypatch.setattr(DiskFile, "beginning", counted)
    others = ("a.txt", "a.xml", "a.json", "a.csv", "a.npy", "a.mp4", "a.h5", "a.tar.gz", "a.svg")
    write(tmp_path, dict.fromkeys(others, b"P1 1 1 0"))
    write(tmp_path, {"plain": picture(0), "a.b7": picture(0), "a.png": picture(0)})
    assert [path.name for path in images_below(tmp_path)] == ["a.b7", "a.png", "plain"]
    assert sorted(opened) == ["a.b7", "plain"]
