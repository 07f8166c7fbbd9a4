"""Finds pretrained weights: the address of each source, and its local file.

A source is a file, a folder (of a run, or of Hugging Face's form), an `https` address, or a name:
PPIM's (`deit_b_distilled_384`), Paddle's ResNets (`resnet_50`), `timm/NAME.TAG` for timm's weights
at Hugging Face, `hf/OWNER/NAME[@REVISION]` for others there, or `google/PATH` for Google's ViT.
What other programs have downloaded already is taken from their caches. Behind a `#` may stand which
of several models in one file is meant: `FILE#ema`.
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
from common.safetensors_files import split_part, weights_file
from models.weights.formats.array_files import ENDINGS
from models.weights.formats.folders import snapshot_of
from models.weights.sources import hugging_face_hub
from models.weights.sources.other_caches import downloaded_elsewhere

_GOOGLE = "https://storage.googleapis.com/vit_models/{name}.npz"
_HUGGING_FACE = "https://huggingface.co"
_TIMM = _HUGGING_FACE + "/timm/{name}/resolve/main/{file}"
# Characters of an address that are kept in a file name. File systems take 255, and some are added.
_LONGEST_NAME = 150


class _Address(NamedTuple):
    url: str
    md5: str = ""


class _Repository(NamedTuple):
    """A repository at Hugging Face."""

    name: str  # OWNER/NAME
    revision: str


def locate(source: str) -> Path:
    """Returns the local file or folder of a source, which is downloaded once.

    What Hugging Face's library, timm, torch.hub or Paddle have already downloaded is taken from
    their caches.

    Raises:
        UserError: when it can't be downloaded, or the name is not known.
    """
    source, _ = split_part(source)
    address = address_of(source)
    if address is None:
        return snapshot_of(Path(weights_file(source)))
    if isinstance(address, _Repository):
        return hugging_face_hub.get_folder(*address)
    theirs = _timms_folder(source)
    if theirs:
        return theirs
    kept = kept_path(address.url)
    elsewhere = downloaded_elsewhere(address.url)
    if not kept.is_file() and elsewhere:
        _adopt(*elsewhere, kept)
    return fetch(_mirrored(address.url), kept, address.md5)


def needs_download(source: str) -> bool:
    """Returns whether `locate` would have to download; it never does for a path."""
    source, _ = split_part(source)
    address = address_of(source)
    if address is None:
        return False
    if isinstance(address, _Repository):
        return hugging_face_hub.kept_folder(*address) is None
    here = kept_path(address.url).is_file() or downloaded_elsewhere(address.url)
    return not here and _timms_folder(source) is None


def beside(source: str) -> Path | None:
    """Returns a path beside which the files lie that describe weights (`config.json`).

    timm's is downloaded. None where an address has no such file.
    """
    source, _ = split_part(source)
    address = address_of(source)
    if address is None or isinstance(address, _Repository):
        return locate(source)
    if not source.startswith("timm/"):
        return None
    theirs = _timms_folder(source)
    if theirs:
        return theirs
    url = _TIMM.format(name=source.partition("/")[2], file="config.json")
    return fetch(_mirrored(url), _folder_of(url) / "config.json", most=1 << 20)


def address_of(source: str) -> _Address | _Repository | None:
    """Returns the address of a source; None for a file or a folder.

    Raises:
        UserError: when it is neither the name of a file nor a known name.
    """
    if "://" in source:
        if not source.startswith("https://"):
            raise UserError(f"{source}: only https addresses are downloaded")
        return _Address(source)
    host, _, name = source.partition("/")
    if host in ("timm", "google", "hf") and name and not Path(source).exists():
        return _of_host(host, name)
    path = user_path(source)
    if os.sep in str(path) or path.is_file() or path.suffix in ENDINGS:
        return None
    known = _named()
    if source not in known and path.is_dir():
        return None
    if source not in known:
        raise UserError(
            f"pretrained weights {source!r} are not known to PPIM"
            f"{nearest(source, known, listed=False)} "
            "(python -m tools.models --names lists them); "
            "or give a file, a folder, an https address, timm/NAME.TAG, hf/OWNER/NAME or "
            "google/PATH"
        )
    return known[source]


def _of_host(host: str, name: str) -> _Address | _Repository:
    if host == "google":
        return _Address(_GOOGLE.format(name=name))
    if host == "timm":
        return _Address(_TIMM.format(name=name, file="model.safetensors"))
    name, _, revision = name.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UserError(f"hf/{name}: expected hf/OWNER/NAME or hf/OWNER/NAME@REVISION")
    return _Repository(name, revision or "main")


def _timms_folder(source: str) -> Path | None:
    """Returns the folder in which timm has kept its weights of a name."""
    return hugging_face_hub.kept_folder(source) if source.startswith("timm/") else None


def _mirrored(url: str) -> str:
    """Returns an address of Hugging Face at the mirror that the user names, if any."""
    return url.replace(_HUGGING_FACE, hugging_face_hub.endpoint(), 1)


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
    return _downloads() / f"{key}-{plain[-_LONGEST_NAME:]}"


def _folder_of(url: str) -> Path:
    """Returns a folder of its own for a file whose name matters."""
    return _downloads() / hashlib.sha256(url.encode()).hexdigest()[:16]


def _downloads() -> Path:
    return Path.home() / ".cache" / "rdrop" / "weights"


def _adopt(theirs: Path, whose: str, ours: Path) -> None:
    """Takes over a file of another program: as a second name, or copied to another disk."""
    print(f"taking {theirs} from {whose}'s cache", flush=True)
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
