"""The words of a page in English and Chinese: one table, from `labels.py` and `notes.py`."""

from __future__ import annotations

from report.labels import LABELS
from report.notes import NOTES
from report.pieces import text

LANGUAGES = ("en", "zh")
TEXTS: dict[str, tuple[str, str]] = {**LABELS, **NOTES}  # by key, in the order of LANGUAGES


class Words:
    """The texts of one language.

    Args:
        language: one of `LANGUAGES`.
    """

    def __init__(self, language: str = "en"):
        self._place = LANGUAGES.index(language)
        self.html_lang = ("en", "zh-CN")[self._place]

    def __call__(self, key: str, **values: object) -> str:
        """Returns a plain text with its values filled in."""
        return TEXTS[key][self._place].format(**values)

    def percent(self, share: float, digits: int) -> str:
        """Returns a share in percent; Chinese has no space before the sign."""
        return f"{100 * share:.{digits}f}{(' %', '%')[self._place]}"

    def joined(self, *sentences: str) -> str:
        """Returns sentences one after the other; Chinese has no space between them."""
        return (" ", "")[self._place].join(sentences)

    def pattern(self, key: str) -> str:
        """Returns a plain text whose values are filled in by the page's script."""
        return TEXTS[key][self._place]

    def html(self, key: str, **values: object) -> str:
        """Returns a text as HTML; its values are escaped, too."""
        return text(self(key, **values))
