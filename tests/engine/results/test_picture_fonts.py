"""Names in any language are drawn, or one line says which package has a font for them."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager, image

from engine.results import picture_fonts, training_curve
from tools import show_batch


@pytest.fixture(autouse=True)
def as_at_the_start(monkeypatch):
    """A machine without any of the fonts, and a process that has said nothing yet."""
    own = [entry for entry in font_manager.fontManager.ttflist if entry.name.startswith("DejaVu")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    caches = (picture_fonts._say_once, picture_fonts._add_new_fonts)
    for one in caches:
        one.cache_clear()
    yield
    for one in caches:
        one.cache_clear()


def _font(path, family: str, letters: str):
    """Writes a font in which each of the letters is a black square."""
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", *(f"uni{ord(letter):04X}" for letter in letters)]
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for corner in ((50, 900), (950, 900), (950, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): f"uni{ord(letter):04X}" for letter in letters})
    builder.setupGlyf({name: pen.glyph() for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def _curve(folder):
    folder.mkdir(parents=True, exist_ok=True)
    records = [{"step": step, "split": "train", "ce": 1.0, "epoch": 1.0} for step in (1, 2)]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "metrics.jsonl").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return image.imread(training_curve.draw_curve(folder))


def test_a_missing_font_is_said_once_without_warnings(tmp_path, capsys):
    _curve(tmp_path / "猫狗")
    _curve(tmp_path / "狗")
    assert capsys.readouterr().out == (
        "pictures: no font here has the letters of some names; to see them: apt install "
        "fonts-noto-cjk\n"
    )


@pytest.mark.parametrize("family", ["SimHei", "Noto Sans CJK JP", "WenQuanYi Micro Hei"])
def test_an_installed_font_is_used(tmp_path, capsys, monkeypatch, family):
    """It may have been installed after matplotlib made its list of fonts."""
    without = _curve(tmp_path / "猫")
    picture_fonts._say_once.cache_clear()
    picture_fonts._add_new_fonts.cache_clear()
    capsys.readouterr()
    path = _font(tmp_path / "simhei-wqy-cjk.ttf", family, "猫")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path)])
    assert (_curve(tmp_path / "猫") != without).any()
    assert capsys.readouterr().out == ""


def test_names_that_need_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(picture_fonts, "_family_with", lambda letters: 1 / 0)
    _curve(tmp_path / "köln Кот $\\frac$")
    assert capsys.readouterr().out == ""


def test_captions_of_a_batch(tmp_path, capsys):
    pixels = np.zeros((2, 3, 8, 8), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        show_batch.draw(pixels, ["猫 1.00", "a\udcff ก"], tmp_path / "grid.png")
    assert (tmp_path / "grid.png").is_file()
    assert capsys.readouterr().out.count("fonts-noto-cjk") == 1
