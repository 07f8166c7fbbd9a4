"""Finds the known names that an unknown one may mean.

First by meaning: other libraries write `vit_base_patch16_224`, `google/vit-base-patch16-224` or
`ViT-B_16` for `vit_b_16`. Then by spelling, for typing errors.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable

_LONG_SIZES = ["nano", "tiny", "t", "small", "medium", "base", "large", "huge", "giant"]
_SIZES = dict(zip(_LONG_SIZES, ["n", "ti", "ti", "s", "m", "b", "l", "h", "g"]))
# Longer ways to say something, and what takes their place.
_PHRASES = (
    (r"vision[ ._-]?transformers?", "vit"),
    (r"(?<=[a-z])transformers?", ""),  # SwinTransformer
    (r"(?<![a-z])learning[ ._-]?rate", "lr"),
    (r"(?<![a-z])dropout", "drop"),
    (r"(?<![a-z])(img|input|resolution)(?![a-z])", "image"),
    (r"(?<![a-z])optimi[sz]er", "optim"),
    (r"(?<![a-z])wd(?![a-z])", "weight_decay"),
    (r"(?<![a-z])bs(?![a-z])", "batch_size"),
    # What weights were trained on: in21k, ImageNet-1k.
    (r"((?<![a-z0-9])in[ _-]?|(?<=imagenet)[ _-]?|(?<![a-z0-9]))\d+k(?![a-z0-9])", ""),
    (r"(?<![a-z])window[ _-]?\d+", ""),  # follows from the resolution
)
_USUAL_PATCH, _USUAL_RESOLUTION = "16", "224"  # what a name that leaves them out means
# The least similarity by spelling, 0 to 1; of names that do not begin with the same letter.
_SPELLED_ALIKE, _SPELLED_NEARLY_THE_SAME = 0.55, 0.7
_LONGEST = 200  # characters that are compared
_MOST = 3  # names that are returned


def similar(name: str, known: Iterable[str]) -> list[str]:
    """Returns the known names that an unknown one may mean: mostly one or none, at most three.

    Args:
        name: the unknown name.
        known: names of one kind: of models, data sets, fields with dots, or others. Of those that
            are equally near, the first come first.
    """
    name, names = name[:_LONGEST], list(known)
    for find in (
        *(_of_the_same_words, _of_the_same_last_part),
        *(_contained, _containing, _of_the_same_spelling),
    ):
        found = find(name, names)
        if found:
            return found[:_MOST]
    return []


def _of_the_same_words(name: str, known: list[str]) -> list[str]:
    wanted = _spellings(name)
    words = {one: _words(one) for one in known}
    for own in wanted:
        found = [one for one in known if "".join(words[one]) == "".join(own)]
        found = found or [one for one in known if sorted(words[one]) == sorted(own)]
        if found:
            return found
    return []


def _of_the_same_last_part(name: str, known: list[str]) -> list[str]:
    """Returns dotted names that end alike: `optim.lr` for `lr` and `train.lr`."""
    own = _words(name.rpartition(".")[2])
    return [one for one in known if "." in one and own and _words(one.rpartition(".")[2]) == own]


def _contained(name: str, known: list[str]) -> list[str]:
    """Returns the longest known name whose words are all in an unknown one, which says more."""
    ranked = []
    for own in _spellings(name):
        for place, one in enumerate(known):
            words = _words(one.rpartition(".")[2])
            named = any(word.isalpha() and len(word) > 2 for word in words)
            if named and not Counter(words) - Counter(own):
                first = sum(own.index(word) for word in words)
                ranked.append((-len(words), -len("".join(words)), first, place))
    return [known[min(ranked)[-1]]] if ranked else []


def _containing(name: str, known: list[str]) -> list[str]:
    """Returns the shortest known names that have all words of an unknown one, which says less."""
    for own in reversed(_spellings(name, tagged=True)):  # with the usual patch, if there are such
        more = {one: _more(own, one) for one in known}
        least = min((count for count in more.values() if count is not None), default=None)
        if least is not None:
            return [one for one in known if more[one] == least]
    return []


def _more(own: list[str], known: str) -> int | None:
    """Returns how many words a known name has that are not in an unknown one; None: it lacks one.

    The words before its last dot do not count.
    """
    words, last = Counter(_words(known)), _words(known.rpartition(".")[2])
    if Counter(own) - words or not any(len(word) > 2 for word in own):
        return None
    return len(Counter(last) - Counter(own))


def _of_the_same_spelling(name: str, known: list[str]) -> list[str]:
    ranked = []
    for place, one in enumerate(known):
        pairs = ((name.lower(), one.lower()), ("".join(_words(name)), "".join(_words(one))))
        score = max(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)
        same = _same_beginning(*pairs[1])
        if score >= (_SPELLED_ALIKE if same else _SPELLED_NEARLY_THE_SAME):
            ranked.append((-round(score, 3), -same, place))
    return [known[min(ranked)[-1]]] if ranked else []


def _same_beginning(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other))
    return next((place for place, pair in pairs if pair[0] != pair[1]), min(len(one), len(other)))


def _spellings(name: str, tagged: bool = False) -> list[list[str]]:
    """Returns the words that a name may stand for, the most exact ones first.

    Args:
        name: the unknown name.
        tagged: whether what follows its first dot is kept in any case.
    """
    owned = name.rpartition("/")[2]  # google/vit-base-patch16-224
    untagged = owned if tagged else owned.partition(".")[0]  # vit_base_patch16_224.augreg_in21k
    humps = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)  # ImageFolder
    found: list[list[str]] = []
    for one in dict.fromkeys((name, owned, untagged, humps)):
        for patch in (True, False):
            words = _words(one, patch)
            if words and words not in found:
                found.append(words)
    return found + [[*words, _USUAL_PATCH] for words in found if _USUAL_PATCH not in words]


def _words(name: str, patch: bool = True) -> list[str]:
    """Returns the words and numbers of a name, each in its shortest form.

    Args:
        name: in any spelling.
        patch: whether to keep the size of the patches, where it is called so.
    """
    text = name.lower()
    for phrase, short in _PHRASES:
        text = re.sub(phrase, short, text)
    text = re.sub(r"(?<![a-z])p(atch)?[ _-]?(?=\d)", "" if patch else "without ", text)
    text = re.sub(r"without \d+", "", text)
    words = re.findall(r"[^\W\d_]+|\d+", text)
    return [_SIZES.get(word, word) for word in words if word != _USUAL_RESOLUTION]
