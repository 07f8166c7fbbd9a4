"""Finds pretrained weights: the address of each source, and its local file.

A source is a file, the folder of a run, an `https` address, or a name: PPIM's
(`deit_b_distilled_384`), Paddle's ResNets (`resnet_50`), `timm/NAME.TAG` for timm's weights at
Hugging Face, or `google/PATH` for Google's ViT.
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
from common.reading import user_path
from common.safetensors_files import weights_file
from models.weights.formats.array_files import ENDINGS

_HOSTS = {
    "timm": "https://huggingface.co/timm/{name}/resolve/main/model.safetensors",
    "google": "https://storage.googleapis.com/vit_models/{name}.npz",
}
# Characters of an address that are kept in a file name. File systems take 255, and some are added.
_LONGEST_NAME = 150


class _Address(NamedTuple):
    url: str
    md5: str = ""


def locate(source: str) -> Path:
    """Returns the local file of a source, which is downloaded once.

    What Paddle has already downloaded is taken from there.

    Raises:
        UserError: when it can't be downloaded, or the name is not known.
    """
    address = address_of(source)
    if address is None:
        return Path(weights_file(source))
    kept = kept_path(address.url)
    if not kept.is_file() and _paddles(address.url).is_file():
        _adopt(_paddles(address.url), kept)
    return fetch(address.url, kept, address.md5)


def needs_download(source: str) -> bool:
    """Returns whether `locate` would have to download; it never does for a path."""
    address = address_of(source)
    return address is not None and not (
        kept_path(address.url).is_file() or _paddles(address.url).is_file()
    )


def address_of(source: str) -> _Address | None:
    """Returns the address of a source; None for a file or a folder.

    Raises:
        UserError: when it is neither the name of a file nor a known name.
    """
    if "://" in source:
        if not source.startswith("https://"):
            raise UserError(f"{source}: only https addresses are downloaded")
        return _Address(source)
    host, _, name = source.partition("/")
    if host in _HOSTS and name and not Path(source).exists():
        return _Address(_HOSTS[host].format(name=name))
    path = user_path(source)
    if path.suffix in ENDINGS or os.sep in str(path):
        return None
    known = _named()
    if source not in known and path.is_dir():
        return None
    if source not in known:
        raise UserError(
            f"pretrained weights {source!r} are not known to PPIM"
            f"{nearest(source, known, listed=False)} "
            "(python -m tools.models --names lists them); "
            "or give a file, an https address, timm/NAME.TAG or google/PATH"
        )
    return known[source]


@cache
def _named() -> dict[str, _Address]:
    """Returns the addresses of PPIM's and Paddle's weights, by the names of the models."""
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
    """Returns the models that PPIM or Paddle have weights for."""
    return frozenset(_named())


def kept_path(url: str) -> Path:
    """Returns where a download is kept; a key tells addresses with the same ending apart."""
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    plain = re.split(r"[/=]|%3D", url.split("?")[0] if not url.endswith(".pdparams") else url)[-1]
    return Path.home() / ".cache" / "rdrop" / "weights" / f"{key}-{plain[-_LONGEST_NAME:]}"


def _paddles(url: str) -> Path:
    """Returns where Paddle keeps a download; it takes all after the last slash for the name."""
    return Path.home() / ".cache" / "paddle" / "hapi" / "weights" / url.rsplit("/", 1)[-1]


def _adopt(theirs: Path, ours: Path) -> None:
    """Takes over a file that Paddle has downloaded: as a second name, or copied to another disk."""
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
