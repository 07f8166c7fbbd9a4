"""Checks that a config fits its data set and its run folder, before any image is read."""

import os
from pathlib import Path

from ml_collections import ConfigDict

from common.errors import UserError
from common.reading import user_path
from data.layouts.part_names import part_of, words
from data.sets.registry import find_entry

_WORDS = 2  # of the name of a part, such as `train_set`; a longer name says something else


def check_resize(config: ConfigDict) -> None:
    """Checks that the device can resize the images, where `data.resize_on` says so.

    Raises:
        UserError: when they may differ in size, or are larger than `model.image_size`.
    """
    if config.data.resize_on == "host":
        return
    name = config.data.name
    side, size = find_entry(name).side, config.model.image_size
    if not side:
        raise UserError(
            f"data.resize_on=device needs images that are all of one size, which those of {name} "
            "may not be: set data.resize_on=host"
        )
    if side > size:
        raise UserError(
            f"data.resize_on=device only enlarges, but the images of {name} have {side} pixels and "
            f"model.image_size is {size}: set data.resize_on=host"
        )


def usual_exif(name: str) -> str:
    """Returns `apply` for a data set of people's own images, else `ignore`."""
    return "apply" if find_entry(name).own_images else "ignore"


def parts_next_to(data_config: ConfigDict) -> list[str]:
    """Returns other parts next to `data.root`, where that is called like a part itself.

    `mydata/train` next to `mydata/test`: most likely `mydata` is meant.
    """
    if not find_entry(data_config.name).own_images or not data_config.root:
        return []
    root = Path(os.path.realpath(user_path(data_config.root)))
    own = part_of(root.name)
    if not own or len(words(root.name)) > _WORDS or not root.is_dir():
        return []
    others = [path.name for path in root.parent.iterdir() if path.is_dir()]
    others = [name for name in others if len(words(name)) <= _WORDS]
    return sorted(name for name in others if part_of(name) not in ("", own))


def check_outside(data_config: ConfigDict, workdir: Path, flag: str = "--workdir") -> None:
    """Checks that a run's folder is not among the images; its files would be taken for images.

    Args:
        data_config: the `data` part of a config.
        workdir: the folder of the run; it may not exist yet.
        flag: that names it, for the error.

    Raises:
        UserError: when it is among them.
    """
    run = Path(os.path.realpath(workdir))
    root = data_config.root if find_entry(data_config.name).image_folder else ""
    for field, path in (
        ("data.root", root),
        ("data.unlabelled_root", data_config.unlabelled_root),
    ):
        folder = Path(os.path.realpath(user_path(path)))
        names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        parts = [folder / name for name in names if part_of(name)]
        for images in parts if parts and field == "data.root" else [folder]:
            if path and images in (run, *run.parents):
                raise UserError(
                    f"{flag}: {workdir} is among the images of {field} ({images}); give "
                    "another folder"
                )
