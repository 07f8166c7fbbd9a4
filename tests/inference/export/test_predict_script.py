"""The script of an export reads images as the project does, and gives the same probabilities."""

from __future__ import annotations

import subprocess
import sys

import exports
import numpy as np
import pytest
from PIL import Image

from inference.export import export, package, predict

_SIZE = 24


def _images(folder):
    """Writes images of many kinds; returns their paths."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    colours = rng.integers(0, 256, (40, 61, 3), dtype=np.uint8)
    smooth = Image.fromarray(colours).resize((122, 80), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    paths = []
    for turn in range(1, 9):
        exif[0x0112] = turn
        smooth.save(folder / f"turned_{turn}.jpg", exif=exif)
    smooth.save(folder / "odd_name 猫.jpg")
    smooth.quantize(32).save(folder / "palette.png")
    smooth.quantize(32).save(folder / "palette_transparent.png", transparency=3)
    smooth.convert("L").save(folder / "grey.png")
    smooth.convert("CMYK").save(folder / "cmyk.jpg")
    smooth.convert("1").save(folder / "bits.png")
    smooth.save(folder / "colour_key.png", transparency=smooth.getpixel((0, 0)))
    see_through = smooth.copy()
    see_through.putalpha(Image.fromarray(rng.integers(0, 256, (80, 122), dtype=np.uint8)))
    see_through.save(folder / "alpha.png")
    see_through.convert("LA").save(folder / "grey_alpha.png")
    see_through.save(folder / "alpha.webp", lossless=True)
    wide = rng.integers(0, 65536, (30, 50), dtype=np.uint16)
    Image.fromarray(wide).save(folder / "sixteen.png")
    Image.fromarray(wide.astype(np.int32)).save(folder / "int32.tif")
    Image.fromarray(wide.astype(np.float32) / 65535).save(folder / "float.tif")
    Image.fromarray(wide.astype(np.float32) / 257).save(folder / "float255.tif")
    smooth.resize((_SIZE, _SIZE)).save(folder / "the_size.png")
    smooth.resize((9, 13)).save(folder / "small.bmp")
    smooth.resize((200, 30)).save(folder / "long.gif")
    paths = sorted(folder.iterdir())
    assert len(paths) == 25
    return paths


def _classifier(tmp_path, fraction=1.0, interpolation="bicubic", exif="apply"):
    names = ("猫 🐈", "<b>dog</b>", *(f"class {number}" for number in range(8)))
    config = exports.config_of("vit_n_4", _SIZE)
    config.data.update(eval_crop=fraction, interpolation=interpolation, exif_orientation=exif)
    return exports.untrained(tmp_path / "w.safetensors", config, names)


@pytest.mark.parametrize(
    ("fraction", "interpolation", "exif"),
    [(1.0, "bicubic", "apply"), (0.875, "bilinear", "ignore"), (0.95, "bicubic", "apply")],
)
def test_reads_as_the_project_does(tmp_path, fraction, interpolation, exif):
    """Bit for bit; with 0.95 the shorter side is between two whole numbers."""
    classifier = _classifier(tmp_path, fraction, interpolation, exif)
    paths, different = _images(tmp_path / "images"), set()
    predict.RULES.update(package.rules(classifier, uint8=True, precision="float32"))
    for path in paths:
        ours = classifier.read(path)
        np.testing.assert_array_equal(predict.prepare(str(path)), ours, err_msg=path.name)
        different.add(ours.tobytes())
    assert len(different) > (16 if exif == "apply" else 10)
    predict.RULES.update(package.rules(classifier, uint8=False, precision="float32"))
    for path in paths[:3]:
        ours = classifier.normalised(classifier.read(path)[None]).numpy()[0]
        np.testing.assert_allclose(predict.prepare(str(path)), ours, rtol=0, atol=1e-6)


def _lines(command, folder, paths, cwd):
    done = subprocess.run(
        [*command, str(folder / "predict.py"), *map(str, paths)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _check_script(command, folder, classifier, paths, cwd):
    """Compares what the script prints with what the classifier computes."""
    lines = _lines(command, folder, paths, cwd)
    pixels = np.stack([classifier.read(path) for path in paths])
    logits = classifier.logits(pixels).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = odds / odds.sum(axis=1, keepdims=True)
    assert len(lines) == len(paths)
    for line, path, row in zip(lines, paths, expected):
        file, name, probability = line.split("  ")
        assert (file, name) == (str(path), classifier.classes[row.argmax()])
        assert float(probability) == pytest.approx(row.max(), abs=1.5e-4)  # four digits


@pytest.mark.parametrize(
    ("format_", "uint8"),
    [("onnx", False), pytest.param("paddle", True, marks=pytest.mark.slow)],
)
def test_script_gives_the_same_classes_from_any_place(tmp_path, monkeypatch, format_, uint8):
    if format_ == "onnx":
        pytest.importorskip("paddle2onnx")
    monkeypatch.setattr(export.comparison, "_SECONDS", 0)
    classifier, paths = _classifier(tmp_path), _images(tmp_path / "images")
    options = export.Options(format=format_, uint8=uint8)
    export.export(classifier, tmp_path / "made", options, lambda line: None)
    (tmp_path / "made").rename(tmp_path / "moved there")
    _check_script([sys.executable], tmp_path / "moved there", classifier, paths, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("uint8", [False, True])
def test_script_needs_no_paddle(tmp_path, uint8):
    """In an environment with onnxruntime, numpy and pillow alone."""
    pytest.importorskip("paddle2onnx")
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = [str(environment / "bin" / "python")]
    pip = [*python, "-m", "pip", "install", "--quiet", "onnxruntime", "numpy", "pillow"]
    if subprocess.run(pip, capture_output=True).returncode:
        pytest.skip("pip can't install here")
    assert subprocess.run([*python, "-c", "import paddle"], capture_output=True).returncode
    classifier, paths = _classifier(tmp_path, 0.9), _images(tmp_path / "images")
    options = export.Options(format="onnx", uint8=uint8)
    export.export(classifier, tmp_path / "made", options, lambda line: None)
    _check_script(python, tmp_path / "made", classifier, paths, tmp_path)
