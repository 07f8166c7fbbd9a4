"""Where pretrained weights come from.

A source is a file, an `https` address, or a name: PPIM's (`deit_b_distilled_384`), Paddle's ResNets
(`resnet_50`), `timm/NAME.TAG` for what timm keeps at Hugging Face, or `google/PATH` for Google's
ViT.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from common.atomic_writing import atomic_path
from common.download import fetch, note_sha256
from common.errors import UserError, nearest
from models.weights.formats.array_files import ENDINGS

_TIMM = "https://huggingface.co/timm/{name}/resolve/main/model.safetensors"
_GOOGLE = "https://storage.googleapis.com/vit_models/{name}.npz"

# characters that are kept of an address: file systems take 255, with what is put around them
_LONGEST_NAME = 150


class _Address(NamedTuple):
    url: str
    md5: str = ""


def locate(source: str) -> Path:
    """The local file of a source, which is downloaded once; what Paddle has downloaded already is
    taken from there.

    Raises:
        UserError: when it can't be had, or the name is not known.
    """
    address = address_of(source)
    if address is None:
        return Path(source)
    kept = kept_path(address.url)
    if not kept.is_file() and _paddles(address.url).is_file():
        _adopt(_paddles(address.url), kept)
    return fetch(address.url, kept, address.md5)


def needs_download(source: str) -> bool:
    """Whether `locate` would have to get a file first; never so for a path."""
    address = address_of(source)
    return address is not None and not (
        kept_path(address.url).is_file() or _paddles(address.url).is_file()
    )


def address_of(source: str) -> _Address | None:
    """The address that a source stands for; None for a file.

    Raises:
        UserError: when it is neither a file's name nor a known one.
    """
    if "://" in source:
        if not source.startswith("https://"):
            raise UserError(f"{source}: only https addresses are downloaded")
        return _Address(source)
    host, _, name = source.partition("/")
    if host in ("timm", "google") and name and not Path(source).exists():
        return _Address({"timm": _TIMM, "google": _GOOGLE}[host].format(name=name))
    if Path(source).suffix in ENDINGS or os.sep in source:
        return None
    known = _named()
    if source not in known:
        raise UserError(
            f"pretrained weights {source!r} are not known to PPIM{nearest(source, known, listed=False)} (python -m "
            "tools.models --names lists them); or give a file, an https address, timm/NAME.TAG or google/PATH"
        )
    return known[source]


@cache
def _named() -> dict[str, _Address]:
    """PPIM's and Paddle's weights by the names of the models."""
    import ppim.models
    from paddle.vision.models import resnet

    modules = [value for value in vars(ppim.models).values() if isinstance(value, ModuleType)]
    named = {
        name: _Address(url)
        for module in modules
        for name, url in getattr(module, "urls", {}).items()
    }
    for name, (url, md5) in resnet.model_urls.items():
        plain = re.fullmatch(r"resnet(\d+)", name)
        if plain:
            named[f"resnet_{plain.group(1)}"] = _Address(url, md5)
    return named


def named_weights() -> frozenset[str]:
    """The models that PPIM or Paddle have weights for."""
    return frozenset(_named())


def kept_path(url: str) -> Path:
    """Where a download is kept; many addresses end in the same name."""
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    plain = re.split(r"[/=]|%3D", url.split("?")[0] if not url.endswith(".pdparams") else url)[-1]
    return Path.home() / ".cache" / "rdrop" / "weights" / f"{key}-{plain[-_LONGEST_NAME:]}"


def _paddles(url: str) -> Path:
    """Where Paddle keeps a download: it names it by all after the last slash."""
    return Path.home() / ".cache" / "paddle" / "hapi" / "weights" / url.rsplit("/", 1)[-1]


def _adopt(theirs: Path, ours: Path) -> None:
    """Take a file that Paddle has downloaded: a second name for it, or a copy on another disk."""
    print(f"taking {theirs} from Paddle's cache", flush=True)
    try:
        note_sha256(theirs, ours)
        with atomic_path(ours) as temporary:
            temporary.unlink()
            try:
                os.link(theirs, temporary)
            except OSError:
                shutil.copyfile(theirs, temporary)
    except OSError as error:
        raise UserError(f"{ours}: can't be written ({error.strerror or error})") from None
