"""Tells which files are images: by the ending of the name, or else by the first bytes."""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings

# Endings of the formats that are read, as Pillow calls them.
_FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif", ".heics", ".heifs"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".j2c", ".jpf"),
    "TGA": (".tga",),
}
_BY_ENDING = {ending: kind for kind, endings in _FORMATS.items() for ending in endings}
# What a browser, a download or an editor has not finished, or keeps of an older state; and kinds
# that begin like images: what cameras store has a small preview at the beginning.
_NO_IMAGES = {
    *(".part", ".crdownload", ".download", ".tmp", ".temp", ".bak", ".old", ".orig", ".swp"),
    *(".downloading", ".partial", ".opdownload", ".filepart", ".aria2", ".xltd", ".td", ".cfg"),
    *(".!ut", ".bc!", ".!qb", ".lock", ".synopart", ".sync", ".unconfirmed", ".delta"),
    *(".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".dng", ".orf", ".rw2", ".raf", ".pef"),
    *(".srw", ".raw", ".psd", ".psb", ".svs", ".ndpi", ".lsm", ".zip", ".rar", ".7z", ".mov"),
}
# What often lies with images: texts, tables, code, arrays and office files.
TEXTS = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".md", ".pdf"),
    *(".mat", ".names", ".list", ".lst", ".log", ".toml", ".ini", ".rst", ".html", ".htm", ".tex"),
    *(".py", ".ipynb", ".pyc", ".sh", ".bat", ".js", ".css", ".cpp", ".java"),
    *(".npy", ".npz", ".pkl", ".pickle", ".db", ".sqlite", ".url", ".sha256", ".md5"),
    *(".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods", ".rtf"),
}
# Archives, films, sounds, arrays, weights and drawings: a folder of them may be meant as a class.
_LARGE = {
    *(".tar", ".gz", ".tgz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".lz4", ".iso"),
    *(".mp4", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".mts", ".3gp"),
    *(".mp3", ".wav", ".flac", ".ogg", ".m4a", ".aac", ".h5", ".hdf5", ".parquet", ".arrow"),
    *(".feather", ".lmdb", ".mdb", ".tfrecord", ".tfrecords", ".rec", ".idx", ".nii", ".dcm"),
    *(".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".pdparams", ".pdopt", ".pdmodel"),
    *(".pdiparams", ".weights", ".exe", ".dll", ".so", ".svg"),
}
_NEVER = _NO_IMAGES | TEXTS | _LARGE
# How a file of a format begins: bytes, and their place. TGA has no such bytes.
_BEGINNINGS = (
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF8"),
    ("WEBP", 8, b"WEBP"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("TIFF", 0, b"II+\0"),
    ("TIFF", 0, b"MM\0+"),
    ("JPEG2000", 0, b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("JPEG2000", 0, b"\xff\x4f\xff\x51"),
)
# What the first part of an ISO base media file says (`ftyp` and four letters).
_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIF": (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1"),
}
ZIP = "a zip archive"
# Others, to say what a file is that is called an image.
_OTHERS = (
    ("a web page", (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")),
    ("an SVG drawing", (b"<svg",)),
    ("a PDF", (b"%pdf",)),
    ("a Photoshop file", (b"8bps",)),
    (ZIP, (b"pk\3\4",)),
    ("JSON", (b"{", b"[")),
    ("a Git LFS pointer: run git lfs pull", (b"version https://git-lfs",)),
)
BEGINNING = 64  # bytes from which the kind is told


def ending_of(name: str) -> str:
    """Returns the ending of a name in small letters, with its dot; empty for none."""
    return os.path.splitext(name)[1].lower()


def kind_by_ending(name: str) -> str:
    """Returns the format that the ending of a name stands for, as Pillow calls it; empty: none."""
    return _BY_ENDING.get(ending_of(name), "")


def may_be_image(name: str) -> bool:
    """Returns whether the first bytes have to tell if a file is an image.

    That is so where the name has no ending, or one that stands for nothing: `8f3a01`,
    `photo.jpg_large`, `a1.9c`. A file that is known to be something else is not opened.
    """
    ending = ending_of(name)
    return ending not in _BY_ENDING and ending not in _NEVER


def kind_by_content(beginning: bytes) -> str:
    """Returns the format that the first bytes stand for, as Pillow calls it; empty: none."""
    for kind, place, mark in _BEGINNINGS:
        if beginning[place : place + len(mark)] == mark:
            return kind
    if beginning[:2] == b"BM" and beginning[6:10] == bytes(4):  # that are reserved
        return "BMP"
    if beginning[:1] == b"P" and beginning[1:2] in b"123456" and beginning[2:3].isspace():
        return "PPM"
    if beginning[4:8] == b"ftyp":
        brands = {beginning[place : place + 4] for place in range(8, len(beginning) - 3, 4)}
        for kind, known in _BRANDS.items():
            if brands & set(known):
                return kind
    return ""


def what_it_is(beginning: bytes) -> str:
    """Returns in words what a file is that is no image; empty where that is not known."""
    lowered = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((name for name, marks in _OTHERS if lowered.startswith(marks)), "")


@functools.cache
def readable_kinds() -> frozenset[str]:
    """Returns the formats that this installation reads."""
    from PIL import features

    kinds = set(_FORMATS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of older Pillows, which do not know the feature
        if not features.check("avif"):
            kinds.discard("AVIF")
    if importlib.util.find_spec("pillow_heif") is None:
        kinds.discard("HEIF")
    if not features.check("jpg_2000"):
        kinds.discard("JPEG2000")
    return frozenset(kinds)


def remedy(kind: str) -> str:
    """Returns how to make images of a format readable that this installation can't read."""
    package = {"HEIF": "pillow-heif", "AVIF": "'pillow>=11.3'"}.get(kind)
    return f"pip install {package}" if package else "convert them to JPEG"
