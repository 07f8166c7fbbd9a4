"""Reads Hugging Face's parquet files: a column of encoded images, and one of their classes.

A parquet file is read in groups of rows, so one image at a time would read a hundred. The encoded
images are therefore written once, one behind the other, into a file in the cache.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from common.errors import UserError, listed
from common.reading import read_json, user_path
from data.files.file_tree import FileTree
from data.files.made_once import made_once, states
from data.files.open_tree import cache_folder, open_root
from data.files.stored_files import DiskFile, Segment, StoredFile
from data.images.image_folders import image_names
from data.images.images_and_labels import ImagesAndLabels
from data.layouts.class_names import label_value, plain
from data.layouts.found import Found, Listed, divided
from data.layouts.part_names import part_of
from data.layouts.table_columns import LABEL_COLUMNS, usual

_FORMAT = 3  # of the cache; raise it when the content of the cache changes
_LARGEST_FACTS = 1 << 30  # bytes
_LARGEST_FILE = 16 << 30  # bytes of a parquet file in an archive
_ROWS = 256  # that are read at a time
_IMAGE_COLUMNS = ("image", "img", "picture", "photo", "jpg", "png", "pixel_values")


def find_parquet(tree: FileTree, data_config: ConfigDict) -> Found | None:
    """Reads the parquet files of a tree without images; None where there are none.

    Raises:
        UserError: when pyarrow is not installed, or the columns are not clear.
    """
    names = [name for name in tree.names if name.lower().endswith(".parquet")]
    if not names or image_names(tree):
        return None
    parts = _parts(tree, names)
    given = data_config.image_column, data_config.label_column
    on_disk = states(tree.file(name).on_disk for name in names)
    key = [_FORMAT, *on_disk, tree.place(), *names, *given]
    folder = made_once(
        cache_folder(data_config),
        "parquet",
        key,
        f"writing the images of {tree.place()} once",
        lambda folder: _write(tree, parts, data_config, folder),
    )
    return _read(tree, folder)


def load_parquet(data_config: ConfigDict, part: str) -> ImagesAndLabels | None:
    """Loads `train` or `test` from parquet files of a published data set, with sorted classes.

    Returns:
        None where `data.root` is no folder of parquet files, and none itself.

    Raises:
        UserError: when they are not readable, or have no such part.
    """
    root = user_path(data_config.root)
    if not data_config.root or not (root.is_dir() or root.name.lower().endswith(".parquet")):
        return None
    tree = open_root(data_config)
    found = find_parquet(tree, data_config)
    if found is None:
        return None
    source = found.part(part, exif=False)
    if source is None:
        raise UserError(f"{tree.place()}: its parquet files have no {part} part with labels")
    order = sorted(range(len(source.classes)), key=source.classes.__getitem__)
    classes = tuple(source.classes[position] for position in order)
    return source._replace(classes=classes, labels=np.argsort(order)[source.labels])


def _parts(tree: FileTree, names: list[str]) -> dict[str, list[str]]:
    """Returns the files of each part, which is in the name of a file or of its folder."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parent, _, own = name.rpartition("/")
        found[part_of(own.rpartition(".")[0]) or part_of(parent.rpartition("/")[2])].append(name)
    unclear = found.pop("", [])
    if unclear and not found:
        found["train"] = unclear
    elif unclear or "train" not in found:
        raise UserError(
            f"{tree.place()}: {listed(unclear or names)}: expected parquet files whose names begin "
            "with train, validation or test"
        )
    for members in found.values():
        folders = sorted({name.rpartition("/")[0] for name in members})
        if len(folders) > 1:
            raise UserError(
                f"{tree.place()}: parquet files of one part are in {listed(folders)}; give the "
                "folder of one data set as data.root"
            )
    return dict(found)


def _write(
    tree: FileTree, parts: dict[str, list[str]], data_config: ConfigDict, folder: Path
) -> None:
    """Writes the images of each part one behind the other, with an index of them."""
    texts: dict[str, list[Any]] = {}
    classes: list[str] = []
    for part, names in parts.items():
        labels: list[Any] = []
        sizes: list[int] = []
        files: list[str] = []
        with open(folder / f"{part}.bin", "wb") as container:
            for name in names:
                table = _Parquet(tree, name, data_config)
                if table.classes and classes and table.classes != classes:
                    raise UserError(
                        f"{table.place}: has other names of the classes ({listed(table.classes)}) "
                        f"than the files before it ({listed(classes)})"
                    )
                classes = classes or table.classes
                for path, content, label in table.rows():
                    container.write(content)
                    sizes.append(len(content))
                    labels.append(label)
                    files.append(path or f"{part}_{len(files):08}")
        if classes or (part != "train" and set(labels) <= {-1, None}):  # -1 is no label there
            labels = [None if label == -1 else label for label in labels]
        np.save(folder / f"{part}_sizes.npy", np.array(sizes, np.int64))
        texts[part] = [files, labels]
    labels = [label for _, some in texts.values() for label in some if label is not None]
    train = [label for label in texts["train"][1] if label is not None]
    classes, known = _positions(train, classes)
    strange = [label for label in labels if label not in known]
    if strange:
        raise UserError(
            f"{tree.place()}: the label {strange[0]} is of none of the {len(classes)} classes "
            f"({listed(classes)})"
        )
    listed_parts: dict[str, list[Any]] = {}
    for part, (files, some) in texts.items():
        listed_parts[part] = [files, [known.get(label, -1) for label in some]]
    facts = {"classes": classes, "parts": listed_parts}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _positions(labels: list[Any], names: list[str]) -> tuple[list[str], dict[Any, int]]:
    """Returns the classes in order, and the position of each label.

    Args:
        labels: numbers, or words.
        names: stored names of the classes; a number is then a position in them.
    """
    numbers = all(isinstance(label, int) for label in labels)  # a column is of one kind
    if names:
        by_name: dict[Any, int] = {name: place for place, name in enumerate(names)}
        return names, dict(enumerate(range(len(names)))) if numbers else by_name
    different = sorted(set(labels), key=None if numbers else str)
    places = {label: place for place, label in enumerate(different)}
    return [str(label) for label in different], places


def _read(tree: FileTree, folder: Path) -> Found:
    facts, notes = read_json(folder / "facts.json", _LARGEST_FACTS), []
    parts = {}
    for part, (names, labels) in facts["parts"].items():
        sizes = np.load(folder / f"{part}_sizes.npy")
        begins = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        container = str(folder / f"{part}.bin")
        files: list[StoredFile] = [
            Segment(container, begin, size, name, tree.place())
            for begin, size, name in zip(begins, sizes.tolist(), names)
        ]
        labelled = [place for place, label in enumerate(labels) if label >= 0]
        if len(labelled) < len(labels):
            notes.append(f"left out, without a label: {len(labels) - len(labelled)} of {part}")
        if labelled:
            chosen = [files[place] for place in labelled]
            parts[part] = Listed(chosen, [labels[place] for place in labelled], f"parquet {part}")
    if "train" not in parts or len(facts["classes"]) < 2:
        raise UserError(
            f"{tree.place()}: {len(facts['classes'])} classes among the training images of the "
            "parquet files; expected 2 or more"
        )
    return divided(facts["classes"], parts, notes)


class _Parquet:
    """One parquet file, its columns, and the names of its classes (empty: not stored)."""

    def __init__(self, tree: FileTree, name: str, data_config: ConfigDict):
        try:
            from pyarrow import ArrowException, parquet
        except ImportError:
            raise UserError(
                f"{tree.place(name)}: parquet files need pyarrow: pip install pyarrow"
            ) from None
        file, self.place = tree.file(name), tree.place(name)
        self._errors = (OSError, ValueError, ArrowException)
        source = file.path if isinstance(file, DiskFile) else BytesIO(file.read(_LARGEST_FILE))
        try:
            self._file = parquet.ParquetFile(source)
            self._schema = self._file.schema_arrow
        except self._errors as error:
            raise UserError(f"{self.place}: not a readable parquet file ({error})") from None
        features = self._features()
        self._image = self._image_column(data_config.image_column)
        self._label = self._label_column(data_config.label_column, features)
        self.classes = features.get(self._label, [])

    def _features(self) -> dict[str, list[str]]:
        """Returns the names of the classes by the column, as Hugging Face stores them."""
        try:
            stored = json.loads((self._schema.metadata or {})[b"huggingface"])
            features = stored["info"]["features"]
            return {
                name: [plain(str(one)) for one in feature["names"]]
                for name, feature in features.items()
                if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
            }
        except (KeyError, TypeError, ValueError):
            return {}

    def _image_column(self, given: str) -> str:
        names = [
            field.name
            for field in self._schema
            if "bytes" in {child.name for child in _children(field.type)}
            or str(field.type) in ("binary", "large_binary")
        ]
        return self._chosen(given, names, _IMAGE_COLUMNS, "image_column", "encoded images")

    def _label_column(self, given: str, features: dict[str, list[str]]) -> str:
        others = [field for field in self._schema if field.name != self._image]
        fit = [field.name for field in others if _may_be_label(field.type)]
        known = [name for name in fit if name in features or name.lower() in LABEL_COLUMNS]
        for field in others:
            meant = field.name == given if given else not fit and field.name in LABEL_COLUMNS
            if meant and field.name not in fit:
                raise UserError(
                    f"{self.place}: the column {field.name!r} is of the type {field.type}; "
                    "expected one word or number, the class of the image"
                )
        return self._chosen(given, known or fit, LABEL_COLUMNS, "label_column", "classes")

    def _chosen(
        self, given: str, names: list[str], known: tuple[str, ...], field: str, what: str
    ) -> str:
        all_names = [one.name for one in self._schema]
        if given and given not in all_names:
            raise UserError(f"data.{field}: {self.place} has no column {given!r}")
        unclear = len(names) > 1 and not any(name.lower() in known for name in names)
        if not given and (not names or unclear):
            raise UserError(
                f"{self.place}: which column has the {what}? It has {', '.join(all_names)}; set "
                f"data.{field}"
            )
        return given or usual(names, known)

    def rows(self) -> Iterator[tuple[str, bytes, Any]]:
        """Yields the name, the encoded image and the label of each row."""
        try:
            for batch in self._file.iter_batches(_ROWS, columns=[self._image, self._label]):
                columns = batch.to_pydict()
                yield from map(self._row, columns[self._image], columns[self._label])
        except self._errors as error:
            raise UserError(f"{self.place}: damaged or cut short ({error})") from None

    def _row(self, image: Any, label: Any) -> tuple[str, bytes, Any]:
        content = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(content, bytes):
            raise UserError(
                f"{self.place}: a row of {self._image} has no bytes of an image (a path to another "
                "file, or nothing)"
            )
        path = image.get("path") if isinstance(image, dict) else None
        name = os.path.basename(path) if isinstance(path, str) else ""
        return name, content, label_value(label)


def _may_be_label(kind: Any) -> bool:
    """Returns whether a type of pyarrow is one of words or numbers."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return texts or types.is_integer(kind) or types.is_boolean(kind) or types.is_floating(kind)


def _children(kind: Any) -> list[Any]:
    return [kind.field(number) for number in range(kind.num_fields)]
