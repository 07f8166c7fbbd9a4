"""Finds the weights in a folder, and all parts of a model that is saved in several files.

Folders come from Hugging Face and timm (`model.safetensors`, `pytorch_model.bin`, an index with
shards), from training (the Trainer's `checkpoint-500`, PaddleClas, Lightning, DeepSpeed, FSDP).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError, listed
from common.file_kinds import INDEX, kind_of
from common.reading import read_json, read_text

_LARGEST_INDEX = 8 << 20  # bytes
# Whole models, in the order of preference: the first that is there is taken.
_WHOLE = (
    "model.safetensors",
    "pytorch_model.bin",
    "model_state.pdparams",
    "best_model.pdparams",
    "model_best.pth.tar",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    "mp_rank_00_model_states.pt",
)
_ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".pdparams", ".npz", ".tar", ".pyth")
# Files of libraries that are not read, which lie next to others.
_OTHERS = re.compile(
    r"\.(?:msgpack|h5|keras|onnx|gguf|tflite|pdmodel|pdiparams|mlmodel|engine|pb)$|"
    r"\.ckpt\.(?:index|data-.*)$|^inference\.json$"
)
# Files of a training state that hold no model.
_TRAINING = re.compile(
    r"^(?:optimizer|optim|scheduler|lr_scheduler|scaler|rng_state|random_states|training_args|"
    r"trainer_state)[_\d]*\.|\.pdopt$|\.pdstates$|_optim_states\.pt$|^adapter_model\."
)
_SHARD = re.compile(r"^(.*?)[-_](\d{5})-of-(\d{5})(\.\w+)$")
_ZERO = re.compile(r"^(?:bf16_|fp16_)?zero_pp_rank_\d+_mp_rank_\d+_")
_DEEPSPEED = (
    "DeepSpeed's parts of a model: join them first by its script: python zero_to_fp32.py . joined"
)
_DISTRIBUTED = (
    "a distributed checkpoint in parts (.distcp), of PyTorch's FSDP or DCP or of Paddle: join it "
    "first: python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER joined.pth"
)


class Found(NamedTuple):
    """Files that are one model, in order; what was decided; for an index, which has which array."""

    files: tuple[Path, ...]
    said: tuple[str, ...] = ()
    places: dict[str, str] | None = None


def find_files(path: Path) -> Found:
    """Returns the files of the model that a path stands for.

    Args:
        path: a weights file, the index of a sharded model, or a folder.

    Raises:
        UserError: when there is none, there are several, or one is missing.
    """
    try:
        return _in_folder(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None


def _of_file(path: Path) -> Found:
    shard = _SHARD.match(path.name)
    if shard and _is_shard(path.name):
        raise UserError(
            f"{path}: is one part (shard {int(shard.group(2))} of {int(shard.group(3))}) of a "
            "model: give its folder, or the file in it that ends in .index.json"
        )
    if _ZERO.match(path.name):
        raise UserError(f"{path}: is one of {_DEEPSPEED}")
    if path.suffix == ".distcp":
        raise UserError(f"{path}: is a part of {_DISTRIBUTED}")
    return _of_index(path) if kind_of(path) == INDEX else Found((path,))


def _is_shard(name: str) -> bool:
    """Returns whether a file is one of several parts, by its name."""
    shard = _SHARD.match(name)
    return shard is not None and int(shard.group(3)) > 1


def _in_folder(path: Path) -> Found:
    names = sorted(one.name for one in path.iterdir())
    if not names:
        raise UserError(f"{path}: the folder is empty, it has no weights; give a weights file")
    if {"blobs", "snapshots"} <= set(names):
        return _in_folder(snapshot_of(path))
    _check_parts(path, names)
    indexes = [name for name in names if name.endswith(".index.json")]
    whole = [name for name in _WHOLE if name in names]
    readable = [name for name in whole if _is_readable(path / name)]  # no pointer in its place
    if whole and (readable or not indexes):
        name = (readable or whole)[0]
        return Found((path / name,), _chosen(name, names))
    if indexes:
        best = next((one for one in indexes if "safetensors" in one), indexes[0])
        return _of_index(path / best)
    weights = [
        name
        for name in names
        if name.endswith(_ENDINGS) and not _TRAINING.search(name) and (path / name).is_file()
    ]
    best = [name for name in weights if "best" in name.lower()]
    chosen = weights if len(weights) == 1 else best
    if len(chosen) == 1 and not _is_shard(chosen[0]):
        return Found((path / chosen[0],), _chosen(chosen[0], names))
    if weights:
        _check_one_model(path, weights)
    raise UserError(_without_weights(path, names))


def snapshot_of(path: Path) -> Path:
    """Returns the newest version in the cache of a repository of Hugging Face.

    Another path stays as it is.

    Raises:
        UserError: when no version is there.
    """
    if not (path / "snapshots").is_dir() or not (path / "blobs").is_dir():
        return path
    versions = sorted(one for one in (path / "snapshots").iterdir() if one.is_dir())
    main = path / "refs" / "main"
    named = read_text(main, 1000).strip() if main.is_file() else ""
    chosen = [one for one in versions if one.name == named] or versions[-1:]
    if not chosen:
        raise UserError(f"{path}: is a cache without a downloaded version; download it again")
    return chosen[0]


def _is_readable(path: Path) -> bool:
    try:
        return kind_of(path) != INDEX
    except UserError:
        return False


def _chosen(name: str, names: list[str]) -> tuple[str, ...]:
    """Returns what is said of the choice of a file, where there were others."""
    others = [one for one in names if one != name and not _TRAINING.search(one)]
    others = [one for one in others if one.endswith(_ENDINGS) or _OTHERS.search(one)]
    return (f"took {name}, not {listed(others)}",) if others else (f"took {name} of the folder",)


def _check_parts(path: Path, names: list[str]) -> None:
    """Refuses the folders of distributed training, whose files are parts."""
    if any(name.endswith(".distcp") for name in names):
        raise UserError(f"{path}: holds {_DISTRIBUTED}")
    states = [name for name in names if re.match(r"^mp_rank_\d+_model_states\.pt$", name)]
    zero = [name for name in names if _ZERO.match(name) and "model_states" in name]
    if zero or len(states) > 1:
        raise UserError(f"{path}: holds {_DEEPSPEED}")
    if "adapter_config.json" in names and not set(_WHOLE) & set(names):
        raise UserError(
            f"{path}: holds an adapter of PEFT (such as LoRA), not a whole model: merge it into "
            "its model first (merge_and_unload), and save that"
        )


def _check_one_model(path: Path, weights: list[str]) -> None:
    """Refuses several files: shards without an index, or several models."""
    shards = [name for name in weights if _is_shard(name)]
    if shards:
        raise UserError(
            f"{path}: has {len(shards)} parts of a model ({listed(shards)}) without the index that "
            "ends in .index.json: get all of its files"
        )
    raise UserError(
        f"{path}: has {len(weights)} weights files: {listed(weights)}; give one of them"
    )


def _without_weights(path: Path, names: list[str]) -> str:
    """Returns what a folder without weights has, and what to do."""
    below = [name for name in names if (path / name).is_dir() and _has_weights(path / name)]
    if below:
        numbered = sorted(
            below, key=lambda name: ("best" in name, int(re.sub(r"\D", "", name)[:9] or 0))
        )
        return (
            f"{path}: has no weights itself, but its folders have: {listed(numbered)}; give "
            f"{path / numbered[-1]}"
        )
    others = [name for name in names if _OTHERS.search(name)]
    if others:
        return (
            f"{path}: has no weights that are read, but {listed(others)}; convert them with the "
            "library that wrote them, to safetensors, .pth, .pdparams or .npz"
        )
    state = [name for name in names if _TRAINING.search(name)]
    beside = f"a training state without the model: {listed(state)}" if state else listed(names)
    return f"{path}: has no weights, but {beside}; give a weights file"


def _has_weights(folder: Path) -> bool:
    try:
        names = [one.name for one in folder.iterdir()]
    except OSError:
        return False
    usual = [name for name in names if name.endswith((*_ENDINGS, ".index.json", ".distcp"))]
    return any(not _TRAINING.search(name) for name in usual)


def _of_index(path: Path) -> Found:
    """Returns the shards that an index names; all lie next to it.

    Raises:
        UserError: when one is missing, or would lie elsewhere.
    """
    content = read_json(path, _LARGEST_INDEX)
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise UserError(f"{path}: is no index of weights files: it has no weight_map")
    names = sorted({name for name in places.values() if isinstance(name, str)})
    odd = [v for v in places.values() if not isinstance(v, str) or not re.fullmatch(r"[\w.-]+", v)]
    if odd or any(name.startswith(".") for name in names):
        raise UserError(
            f"{path}: names a weights file outside its own folder: {str((odd or names)[0])!r}: it "
            "is refused"
        )
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of its {len(names)} weights files are missing: "
            f"{listed(missing)}; get them"
        )
    files = tuple(path.parent / name for name in names)
    return Found(files, (f"read {len(files)} files that {path.name} names",), places)
