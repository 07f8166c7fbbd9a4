"""Fonts for the texts of a picture: names of classes and folders may be in any language.

Matplotlib's own font has Latin, Greek, Cyrillic and more, but no Chinese, Japanese or Korean. A
font that has is used where one is installed.
"""

from __future__ import annotations

import contextlib
import functools
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

# How the names of the usual fonts begin, the better ones first; SC is simplified Chinese, whose
# letters and marks look different from those of the other parts of the same file.
_FAMILIES = (
    *("Noto Sans CJK SC", "Noto Serif CJK SC"),
    *("Noto Sans CJK", "Noto Sans SC", "Noto Serif CJK", "Source Han Sans", "Source Han Serif"),
    *("WenQuanYi", "PingFang", "Microsoft YaHei", "SimHei", "Hiragino Sans GB", "Heiti", "STHeiti"),
    *("SimSun", "KaiTi", "FangSong", "AR PL", "Droid Sans Fallback", "Arial Unicode MS"),
    *("Noto Sans", "Noto Serif"),  # of other scripts
)
# Parts of the names of their files, for those that were installed after matplotlib made its list.
_FILES = ("noto", "sourcehan", "wqy", "pingfang", "msyh", "simhei", "simsun", "heiti")


@contextlib.contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """A context in which pictures are drawn with fonts that have all letters of some texts.

    Where no font has them, a line says so once, and boxes are drawn in their place.
    """
    import matplotlib

    lacking = _lacking(frozenset("".join(texts)))
    family = _family_with(lacking) if lacking else None
    if lacking and not family:
        wide = any(unicodedata.east_asian_width(letter) in "WF" for letter in lacking)
        _say_once("fonts-noto-cjk" if wide else "fonts-noto-core")
    own = matplotlib.rcParams["font.family"]
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from")
        matplotlib.rcParams["font.family"] = [*own, family] if family else own
        yield


def _lacking(letters: frozenset[str]) -> frozenset[str]:
    """Returns the letters that matplotlib's own font does not have."""
    from matplotlib import font_manager

    return _not_in(letters, font_manager.findfont(font_manager.FontProperties()))


def _not_in(letters: Iterable[str], font: str) -> frozenset[str]:
    from matplotlib import font_manager

    known = font_manager.get_font(font)
    printable = (letter for letter in letters if letter.isprintable())
    return frozenset(letter for letter in printable if not known.get_char_index(ord(letter)))


def _family_with(letters: frozenset[str]) -> str | None:
    """Returns the installed family of the usual ones that has most of the letters."""
    from matplotlib import font_manager

    def found() -> list[tuple[int, int, str]]:
        ranked = []
        for entry in font_manager.fontManager.ttflist:
            places = (rank for rank, name in enumerate(_FAMILIES) if entry.name.startswith(name))
            rank = next(places, None)
            if rank is not None and Path(entry.fname).is_file():
                with contextlib.suppress(OSError, RuntimeError):
                    ranked.append((len(_not_in(letters, entry.fname)), rank, entry.name))
        return sorted(one for one in ranked if one[0] < len(letters))  # with the fewest lacking

    families = found()
    if not families:
        _add_new_fonts()
        families = found()
    return families[0][2] if families else None


@functools.cache
def _add_new_fonts() -> None:
    """Adds fonts that were installed after matplotlib has made its list, which it keeps."""
    from matplotlib import font_manager

    for path in font_manager.findSystemFonts():
        if any(part in Path(path).name.lower() for part in _FILES):
            with contextlib.suppress(OSError, RuntimeError):
                font_manager.fontManager.addfont(path)


@functools.cache
def _say_once(package: str) -> None:
    print(
        f"pictures: no font here has the letters of some names; to see them: apt install {package}",
        flush=True,
    )
