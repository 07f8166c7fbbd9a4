"""Configs of weights files, read before Paddle is loaded; and the files that `--weights` means."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

from ml_collections import ConfigDict

from common.errors import UserError
from common.reading import user_path
from common.safetensors_files import own_metadata, read_metadata, weights_file
from configs import default
from configs.allowed_values import AUTO, CORES, trait
from program.config.config_fields import changed, flattened, from_dict


def expanded(words: Iterable[str]) -> list[str]:
    """Returns the weights that words mean: sources, several with commas between them, patterns.

    A path that exists stays whole, whatever characters it has.

    Raises:
        UserError: for a pattern that fits nothing.
    """
    found: list[str] = []
    for word in words:
        whole = user_path(word).exists() or "://" in word
        for one in [word] if whole else filter(None, word.split(",")):
            found.extend(_fitting(one))
    return list(dict.fromkeys(found))


def _fitting(word: str) -> list[str]:
    path = user_path(word)
    if "://" in word or path.exists() or not glob.has_magic(str(path)):
        return [word]
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        raise UserError(f"--weights: {word} fits no file and no folder")
    return found


def stored_config(weights: str) -> ConfigDict | None:
    """Returns the config in a weights file; None for a file that has none.

    The file may come from a stranger: `configs/allowed_values.py` says what it may not decide, such
    as how much memory this process takes and where it writes files.
    """
    path = weights_file(weights)
    content = own_metadata(read_metadata(path), path) or {}
    if "config" not in content:
        return None
    config = from_dict(content["config"], path)
    usual = flattened(default.get_config())
    safe = {name: value for name, value in usual.items() if not trait(name).weights_may_set}
    for name, value in flattened(config).items():
        most = trait(name).weights_most
        if most is not None and isinstance(value, int):
            safe[name] = min(value, (os.cpu_count() or 1) if most == CORES else int(most))
    return changed(config, safe)


def config_for(weights: str, others: bool, model: str = "") -> ConfigDict:
    """Returns the config that weights are evaluated with.

    Args:
        weights: their source.
        others: whether they may be of another library; their images then have to be named.
        model: of weights of another library; empty: as they tell.

    Raises:
        UserError: when they carry no config and need one, or one of another model.
    """
    path = user_path(weights)
    config = stored_config(weights) if path.exists() or not others else None
    if config is None and others:
        # Without a part of R-Drop: there is nothing random in an evaluation.
        values = {"data.name": "folder", "model.name": model or AUTO, "rdrop.copies": 1}
        return changed(default.get_config(), values)
    if config is None:
        raise UserError(
            f"{weights_file(weights)} does not carry a config; give the one it was trained with by "
            "--config=configs/NAME.py, or name its images by --data_root=FOLDER"
        )
    if model not in ("", AUTO, config.model.name):
        raise UserError(f"--model={model}: {weights} is of the model {config.model.name}")
    return config
