"""Gets weights from Hugging Face, or from a mirror, into Hugging Face's own cache.

The package `huggingface_hub` does it, which honours `HF_ENDPOINT` (a mirror, such as
https://hf-mirror.com), `HF_HOME` and `HF_TOKEN`. Without it, what the cache holds is used.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from common.errors import UserError
from models.weights.sources.other_caches import hugging_face_folder

_DESCRIPTIONS = ("config.json", "preprocessor_config.json")
# In the order of preference; an index names the files that it is for.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)


def endpoint() -> str:
    """Returns the address of Hugging Face, or of the mirror that `HF_ENDPOINT` names."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def kept_folder(repository: str, revision: str = "main") -> Path | None:
    """Returns the folder of a repository in Hugging Face's cache if all of its weights are there.

    Args:
        repository: `OWNER/NAME`.
        revision: a branch, a tag or a commit.
    """
    folder = hugging_face_folder(repository, revision)
    if folder is None:
        return None
    found = next((name for name in WEIGHTS if (folder / name).is_file()), "")
    parts = _parts(folder / found) if found.endswith(".index.json") else [found]
    return folder if found and all((folder / part).is_file() for part in parts) else None


def get_folder(repository: str, revision: str = "main") -> Path:
    """Downloads the weights of a repository, and what describes them.

    Args:
        repository: `OWNER/NAME`.
        revision: a branch, a tag or a commit.

    Returns:
        Their folder, in Hugging Face's cache.

    Raises:
        UserError: when it can't be reached, needs leave, or has no weights that are read here.
    """
    kept = kept_folder(repository, revision)
    if kept:
        return kept
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError:
        raise UserError(
            f"hf/{repository}: to download from Hugging Face, `pip install huggingface_hub` (it is "
            "in requirements-extras.txt); or give a file or a folder"
        ) from None

    def get(name: str) -> Path | None:
        try:
            return Path(hf_hub_download(repository, name, revision=revision))
        except LocalEntryNotFoundError:  # no network; it counts as an EntryNotFoundError
            raise
        except EntryNotFoundError:
            return None

    try:
        print(f"getting hf/{repository} from {endpoint()}", flush=True)
        for name in _DESCRIPTIONS:
            get(name)
        found = next(filter(None, map(get, WEIGHTS)), None)
        if found is None:
            raise UserError(f"hf/{repository}: has none of {', '.join(WEIGHTS)}")
        for part in _parts(found) if found.name.endswith(".index.json") else ():
            if get(part) is None:
                raise UserError(f"hf/{repository}: lacks {part}, which {found.name} names")
    except UserError:
        raise
    except Exception as error:  # of the network, in any of the package's forms
        raise UserError(f"hf/{repository}: {_reason(error)}") from None
    return found.parent


def _parts(index: Path) -> list[str]:
    """Returns the files that an index names; only plain names count."""
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        parts = sorted({str(part) for part in named})
    except (OSError, ValueError, KeyError, AttributeError, RecursionError):
        raise UserError(f"{index}: is not readable as an index of weights; get it again") from None
    odd = [part for part in parts if os.path.basename(part) != part or part in ("", ".", "..")]
    if odd:
        raise UserError(f"{index}: names {odd[0]!r}, which is no file beside it: it is refused")
    return parts


def _reason(error: Exception) -> str:
    """Returns one line on why a download failed, and what to do."""
    kind = type(error).__name__
    if kind == "GatedRepoError":
        return "needs leave: ask for it on its page, then set HF_TOKEN to your token"
    if kind == "RepositoryNotFoundError":
        return "is not there, or is private: check the name, or set HF_TOKEN to your token"
    if kind == "RevisionNotFoundError":
        return "has no such revision"
    first = str(error).strip().splitlines()[:1]
    return (
        f"download failed ({first[0][:200] if first else kind}); in China set "
        "HF_ENDPOINT=https://hf-mirror.com, or get its files by hand and give their folder"
    )
