"""ImageNet (ILSVRC 2012): its folders, as Kaggle packs them, or its official archives."""

from __future__ import annotations

import re

import numpy as np
from ml_collections import ConfigDict

from common.errors import UserError
from data.files.archive_tree import is_archive
from data.files.file_tree import FileTree
from data.files.open_tree import cache_folder, open_root
from data.images.image_folders import image_names
from data.images.images_and_labels import ImagesAndLabels
from data.layouts.class_folders import ClassFolders, check_same_classes
from data.layouts.found import Found, Listed
from data.layouts.parquet_files import find_parquet
from data.layouts.part_names import part_of, parts_among
from data.sets.imagenet_archives import tree_of_archives
from data.sets.imagenet_labels import validation_labels

_EXPECTED = {"train": 1_281_167, "val": 50_000}


def load(data_config: ConfigDict, part: str) -> ImagesAndLabels:
    """Lists `train` or `test`, the validation images.

    The root has, at any depth, `train/<wnid>/*` and `val/`; or the official archives
    `ILSVRC2012_img_train.tar` and `ILSVRC2012_img_val.tar`, which are read in place; or Hugging
    Face's parquet files. The images in `val/` are in class folders, or flat as published;
    `data/sets/imagenet_labels.py` then finds their labels.
    """
    root = tree_of_archives(data_config.root, cache_folder(data_config)) or open_root(data_config)
    found = find_parquet(root, data_config)
    if not found:
        images = _images_tree(root)
        found = _train(images) if part == "train" else _validation(images, root)
    source = found.part(part, data_config.exif_orientation == "apply")
    if source is None:
        raise UserError(f"data.root: {root.place()} has no {part} images with labels")
    return source


def _images_tree(root: FileTree) -> FileTree:
    """Returns the tree that has the folder `train`, the one that is nearest to the root."""
    places = [
        name
        for name in root.folders
        if part_of(name.rpartition("/")[2]) == "train" and "imagesets" not in name.lower()
    ]
    if not places:
        raise UserError(
            f"data.root: {root.place()} has no folder train; expected train/<wnid>/*.JPEG and val/,"
            " or ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar"
        )
    nearest = min(places, key=lambda name: (name.count("/"), name))
    return root.below(nearest.rpartition("/")[0])


def _folder(images: FileTree, part: str) -> str:
    """Returns the name of a part's folder; empty where there is none."""
    return parts_among(images.top, images.place()).get(part, "")


def _train(images: FileTree) -> Found:
    tree = images.below(_folder(images, "train"))
    tars = [name for name in tree.top_files if is_archive(name)]
    if tars and not image_names(tree):
        raise UserError(
            f"{tree.place()}: holds {len(tars)} archives, such as {tars[0]}, and no class folders; "
            "unpack each into a folder of its name, or give ILSVRC2012_img_train.tar itself"
        )
    folders = _train_folders(images)
    listed = folders.listed(folders.classes)
    notes = [*folders.notes, *_count(listed, "train")]
    return Found(tuple(folders.classes), {"train": listed}, tuple(notes))


def _train_folders(images: FileTree) -> ClassFolders:
    """Returns the class folders of the training images, which also name the validation's classes.

    They are read once: there are 1.3 million images.
    """
    if "train folders" not in images.memo:
        folder = _folder(images, "train")
        images.memo["train folders"] = ClassFolders(images.below(folder), f"{folder}/")
    return images.memo["train folders"]


def _validation(images: FileTree, root: FileTree) -> Found:
    classes = _train_folders(images).classes
    folder = _folder(images, "val")
    if not folder:
        raise UserError(f"data.root: {images.place()} has train/ but no val/ beside it")
    tree = images.below(folder)
    if tree.top:
        folders = ClassFolders(tree, f"{folder}/")
        check_same_classes(tree.place(), folders.classes, classes)
        listed = folders.listed(classes)
    else:
        listed = flat_validation(images, root, folder, classes)
    return Found(tuple(classes), {"test": listed}, tuple(_count(listed, "val")))


def _count(listed: Listed, part: str) -> list[str]:
    """Returns a line where it is not the whole of ImageNet."""
    found, whole = len(listed.files), _EXPECTED[part]
    return [] if found == whole else [f"{part}: {found:,} of ImageNet's {whole:,} images"]


def flat_validation(images: FileTree, root: FileTree, folder: str, classes: list[str]) -> Listed:
    """Lists the images of a flat folder.

    Args:
        images: has the folder.
        root: may have the files that hold the labels, too.
        folder: has the images.
        classes: those of the training images, in sorted order.

    Raises:
        UserError: when labels are missing, damaged, or of other classes.
    """
    tree = images.below(folder)
    names = image_names(tree)
    stems = [re.sub(r"\.\w+$", "", name) for name in names]
    known = validation_labels([images, root], stems, classes)
    missing = [name for name, stem in zip(names, stems) if stem not in known]
    if missing:
        raise UserError(
            f"{tree.place()}: no label for {missing[0]} ({len(missing)} of {len(names)} images)"
        )
    labels = np.array([known[stem] for stem in stems], np.int64)
    if not names or labels.min() < 0 or labels.max() >= len(classes):
        span = f"labels from {labels.min()} to {labels.max()}" if names else "no images"
        raise UserError(
            f"{tree.place()}: {span}, expected 0 to {len(classes) - 1}: train/ has {len(classes)} "
            "classes"
        )
    return Listed([tree.file(name) for name in names], labels.tolist(), f"{folder}/")
