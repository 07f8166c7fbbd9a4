"""Finds the network in a flat dict of arrays: below which prefix it lies, and what lies beside it.

Wrappers put prefixes before all names: data parallel `module.`, `torch.compile` `_orig_mod.`,
training scripts `model.`, `backbone.`, `encoder.` ... A prefix is taken off where what follows it
looks like a network. Prefixes that belong to the names of a library (Hugging Face's `vit.`, CLIP's
`visual.`) stay: `models/weights/names` knows them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from common.errors import listed

_DEEPEST = 6  # words of a prefix
# Some wrappers put their words in the middle, before the names of the layers that they wrap.
_INNER = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# Words that no network's own names begin with; taken off also where the rest is not known.
_WRAPPERS = ("module", "_layers", "_forward_module", "model", "net", "network", "backbone")
# First words of libraries' own names, which stay where that library's names follow.
_OWN = re.findall(
    r"\w+",
    "vit deit swin swinv2 dinov2 dinov2_with_registers dinov3_vit beit data2vec_vision vit_mae "
    "vit_msn vision_model text_model visual transformer siglip clip altclip blip ijepa levit pvt "
    "cvt segformer convnext convnextv2 resnet regnet bert roberta",
)
_BLOCKS = {"blocks", "layers", "levels", "stages", "layer", "encoder", "block"}
# A network has the first word, and one of the others next to it.
_TIMM = (("patch_embed", _BLOCKS), ("stem", {"stages", "blocks"}), ("tokens_to_token", _BLOCKS))
_LIBRARIES = (
    ("embeddings", {"encoder", "layers", "layer"}),  # Hugging Face, the official R-Drop code
    ("conv_proj", {"encoder"}),  # torchvision
    ("features", {"norm", "head", "classifier"}),
    ("patch_embedding", _BLOCKS),  # PaddleViT
    ("conv1", {"layer1", "transformer"}),  # ResNet, CLIP
    ("class_embedding", {"transformer"}),
)
# First words of heads that may lie beside the body, and those of them that are no linear layer.
_HEADS = (
    *("head", "heads", "head_dist", "fc", "classifier", "linear", "cls_head", "mlp_head"),
    *("linear_head", "classifier_head", "classification_head", "logits", "fc_norm", "norm"),
)
_NOT_LINEAR = ("head_dist", "fc_norm", "norm")
_MOST_OF_A_HEAD = 4  # arrays
_NO_HEAD = re.compile(r"proj|pred|decod|mask|neck|text|norm|bn|queue|loss|criterion|ln_")


class Network(NamedTuple):
    """A network in a flat dict.

    Attributes:
        prefix: before its names in the file, with a dot; "" for none.
        arrays: by name without the prefix; a head that lies beside the body is among them.
        beside: names of what does not belong to it, and not to another network of the file.
        said: what was done, a sentence each.
    """

    prefix: str
    arrays: dict[str, Any]
    beside: list[str]
    said: tuple[str, ...]


def with_head(key: str, places: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Joins a body with the head that lies in a dict of its own next to it.

    Args:
        key: the place of the body: keys of nested dicts, joined by dots.
        places: all dicts of arrays by their places.

    Returns:
        The arrays by the place of both; those of the body alone where there is no head.
    """
    parent, _, word = key.rpartition(".")
    groups = {word: places[key]}
    for other, arrays in places.items():
        place, _, name = other.rpartition(".")
        if place == parent and name in _HEADS and len(arrays) <= _MOST_OF_A_HEAD and other != key:
            groups[name] = arrays
    if len(groups) == 1 or not word:
        return {key: places[key]}
    joined = {f"{w}.{name}": one for w, arrays in groups.items() for name, one in arrays.items()}
    return {parent: joined}


def networks(arrays: dict[str, Any]) -> list[Network]:
    """Returns the networks in a flat dict; all of it is one where none is known.

    Args:
        arrays: by name, as in the file.
    """
    plain = {_INNER.sub("", name): value for name, value in arrays.items()}
    inner = len(plain) == len(arrays) and plain.keys() != arrays.keys()
    arrays = plain if inner else arrays
    bodies = _bodies(arrays)
    if not bodies:
        bodies = [_common_wrapper(arrays)]
    found = [_network(body, arrays, bodies) for body in bodies]
    if not inner:
        return found
    said = "the words of wrappers (such as _orig_mod.) were taken out of the names"
    return [one._replace(said=(said, *one.said)) for one in found]


def _bodies(names: Iterable[str]) -> list[str]:
    """Returns the prefixes after which the names look like those of a network."""
    words = defaultdict(set)  # by prefix, the words that follow it
    for name in names:
        parts = name.split(".")
        for depth in range(min(len(parts), _DEEPEST)):
            words[".".join([*parts[:depth], ""])].add(parts[depth])
    found: list[str] = []
    for prefix in sorted(words, key=lambda one: one.count(".")):
        if not any(prefix.startswith(one) for one in found) and _looks(words, prefix):
            found.append(prefix)
    return found


def _looks(words: dict[str, set[str]], prefix: str) -> bool:
    """Returns whether what follows a prefix looks like a network."""
    if _has(words[prefix], (*_TIMM, *_LIBRARIES)):
        return True
    own = [word for word in words[prefix] if word in _OWN]
    return any(_has(words.get(f"{prefix}{word}.", set()), _LIBRARIES) for word in own)


def _has(words: set[str], signs: Iterable[tuple[str, set[str]]]) -> bool:
    return any(first in words and words & others for first, others in signs)


def _common_wrapper(names: Iterable[str]) -> str:
    """Returns the words of wrappers that all names begin with."""
    prefix, names = "", list(names)
    while True:
        words = {name[len(prefix) :].partition(".")[::2] for name in names}
        firsts = {first for first, rest in words if rest} or {""}
        if len(firsts) > 1 or not firsts <= set(_WRAPPERS) or any(not rest for _, rest in words):
            return prefix
        prefix += f"{firsts.pop()}."


def _network(prefix: str, arrays: dict[str, Any], bodies: list[str]) -> Network:
    inside = {n[len(prefix) :]: value for n, value in arrays.items() if n.startswith(prefix)}
    outside = [name for name in arrays if not any(name.startswith(body) for body in bodies)]
    near = [name for name in outside if _nearest(name, bodies) == prefix]
    heads = _heads_beside(prefix, {name: arrays[name] for name in near}, inside)
    found = {**inside, **{new: arrays[name] for name, new in heads.items()}}
    said = [f"the prefix {prefix!r} was taken off the names"] if prefix else []
    renamed = {n: new for n, new in heads.items() if new != ".".join(_relative(n, prefix))}
    said += [f"{name} was taken for {new}" for name, new in renamed.items()]
    beside = [name for name in near if name not in heads]
    if beside:
        said.append(f"left out what lies beside the model: {listed(beside)}")
    return Network(prefix, found, beside, tuple(said))


def _relative(name: str, prefix: str) -> list[str]:
    """Returns the words of a name behind those that it shares with a prefix."""
    words, others = name.split("."), prefix.split(".")
    while len(words) > 1 and words[0] == others[0]:
        words, others = words[1:], others[1:]
    return words


def _nearest(name: str, bodies: list[str]) -> str:
    """Returns the body whose prefix shares most words with a name."""
    return min(bodies, key=lambda body: len(_relative(name, body)))


def _heads_beside(prefix: str, near: dict[str, Any], inside: dict[str, Any]) -> dict[str, str]:
    """Returns the names of a small head that lies beside the body, and what they become.

    Next to a body with timm's names, a single linear layer is its `head`.
    """
    groups = defaultdict(list)
    for name in near if prefix else ():
        groups[_relative(name, prefix)[0]].append(name)
    timm = {"patch_embed", "blocks"} <= {name.split(".")[0] for name in inside}
    found: dict[str, str] = {}
    words = [word for word in _HEADS if 0 < len(groups[word]) <= _MOST_OF_A_HEAD]
    if set(words) <= {"norm", "fc_norm"}:
        words += _lone_layers(groups, near)
    for word in words:
        leaves = sorted(name.rpartition(".")[2] for name in groups[word])
        linear = timm and leaves == ["bias", "weight"] and word not in _NOT_LINEAR
        for name in groups[word]:
            new = f"head.{name.rpartition('.')[2]}" if linear else ".".join(_relative(name, prefix))
            if new not in inside and new not in found.values():
                found[name] = new
    return found


def _lone_layers(groups: dict[str, list[str]], near: dict[str, Any]) -> list[str]:
    """Returns the word of the only linear layer beside a body, whatever somebody called it."""
    found = []
    for word, names in groups.items():
        sides = {name.rpartition(".")[2]: len(getattr(near[name], "shape", ())) for name in names}
        if sides == {"weight": 2, "bias": 1} and not _NO_HEAD.search(word):
            found.append(word)
    return found if len(found) == 1 else []
