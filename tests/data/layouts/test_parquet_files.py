"""Hugging Face's parquet files; most of these tests need pyarrow."""

from __future__ import annotations

import importlib.util
import json

import pytest
from data_trees import CLASSES, flat, folders, found_in, message, picture, read, said, write, zip_of
from small_data import small_config

import data

needs_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed"
)
_FINE = {"_type": "ClassLabel", "names": list(CLASSES)}
_COARSE = {"_type": "ClassLabel", "names": ["small", "large"]}


def _table(images: int, image="img", labels="fine_label", kind="int", start=0, **columns):
    """Returns rows of three classes, the images as dictionaries of bytes and a path."""
    names = list(flat("", images))
    numbers = [int(name[0]) for name in names]
    pictures = [
        {"bytes": picture(number), "path": f"a/{name}"} for name, number in zip(names, numbers)
    ]
    label = {
        "int": numbers,
        "str": [CLASSES[number] for number in numbers],
        "none": [-1] * len(numbers),
        "from_one": [number + 1 for number in numbers],
    }[kind]
    return {image: pictures, labels: label, **{k: v * len(numbers) for k, v in columns.items()}}


def _write(path, table, features=None, **options):
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    made = pyarrow.table(table)
    if features:
        text = json.dumps({"info": {"features": features}})
        made = made.replace_schema_metadata({"huggingface": text})
    parquet.write_table(made, path, **options)


def test_without_pyarrow(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    root = write(tmp_path / "root", {"data/train-00000-of-00001.parquet": b"PAR1"})
    text = message(root)
    assert "train-00000-of-00001.parquet: parquet files need pyarrow: pip install pyarrow" in text


@needs_pyarrow
def test_cifar100_of_hugging_face(tmp_path):
    root = tmp_path / "root"
    features = {"img": {"_type": "Image"}, "fine_label": _FINE, "coarse_label": _COARSE}
    for part, images in (("train", 6), ("test", 2)):
        table = _table(images, coarse_label=[0])
        _write(root / f"cifar100/{part}-00000-of-00001.parquet", table, features)
    write(root, {"README.md": "x", ".gitattributes": "y"})
    assert read(root) == {"train": 18, "test": 6}
    assert read(root) == {"train": 18, "test": 6}  # from the cache
    assert len(list((tmp_path / "cache").glob("parquet-*"))) == 1
    with pytest.raises(AssertionError):
        read(root, label_column="coarse_label")  # other classes
    with_workers = small_config("folder", root, cache_dir=str(tmp_path / "cache"), workers=2)
    dataset = data.build(with_workers, "test")
    batches = data.load(dataset, data.EvalSampler(dataset, 4, 0, 1), 2)
    assert sum(len(batch.labels) for batch in batches) == 6


@needs_pyarrow
@pytest.mark.parametrize(
    "names",
    [
        ("data/train-00000-of-00001-abc.parquet", "data/test-00000-of-00001-abc.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("train.parquet", "validation.parquet"),
        ("train/a.parquet", "val/a.parquet"),
        ("data/train-00000-of-00002.parquet", "data/validation-00000-of-00001.parquet"),
    ],
)
def test_where_the_files_are(tmp_path, names):
    for name, images in zip(names, (6, 2)):
        _write(tmp_path / "root" / name, _table(images, "image", "label"), {"label": _FINE})
    assert read(tmp_path / "root") == {"train": 18, "test": 6}
    if "00002" in names[0]:
        second = tmp_path / "root" / names[0].replace("00000", "00001")
        _write(second, _table(4, "image", "label"), {"label": _FINE})
        assert read(tmp_path / "root") == {"train": 30, "test": 6}


@needs_pyarrow
def test_parts_of_hugging_face_with_and_without_labels(tmp_path):
    """ImageNet has the label -1 for each test image."""
    for part, images, kind in (("train", 6, "int"), ("validation", 2, "int"), ("test", 3, "none")):
        table = _table(images, "image", "label", kind)
        _write(tmp_path / f"root/data/{part}-00000-of-00001.parquet", table, {"label": _FINE})
    assert read(tmp_path / "root") == {"train": 18, "test": 6}
    assert "left out, without a label: 9 of test" in said(tmp_path / "root")


@needs_pyarrow
@pytest.mark.parametrize(
    ("kind", "classes"), [("str", CLASSES), ("int", ("0", "1", "2")), ("from_one", ("1", "2", "3"))]
)
def test_labels_without_names(tmp_path, kind, classes):
    _write(tmp_path / "root/train.parquet", _table(11, "image", "label", kind))
    assert read(tmp_path / "root", classes) == {"train": 30, "test": 3}


@needs_pyarrow
def test_images_as_plain_bytes_and_other_columns(tmp_path):
    table = _table(11, "image", "class", "str", note=["x"], width=[8])
    table["image"] = [one["bytes"] for one in table["image"]]
    _write(tmp_path / "root/train.parquet", table)
    assert read(tmp_path / "root") == {"train": 30, "test": 3}


@needs_pyarrow
@pytest.mark.parametrize(
    ("table", "words"),
    [
        (_table(4, "image", "a", b=[1]), "which column has the classes? It has image, a, b"),
        ({"x": [1, 2], "label": [0, 1]}, "which column has the encoded images? It has x, label"),
        ({"image": [{"bytes": b"x"}] * 2}, "which column has the classes?"),
        ({**_table(4, "image", "label"), "label": ["ant"] * 12}, "1 classes"),
        (
            {"image": [{"bytes": None, "path": "a.png"}] * 2, "label": [0, 1]},
            "has no bytes of an image",
        ),
    ],
)
def test_columns_that_are_not_clear(tmp_path, table, words):
    _write(tmp_path / "root/train.parquet", table)
    assert words in message(tmp_path / "root")


@needs_pyarrow
def test_labels_with_two_sets_of_names(tmp_path):
    """The files of a part, or two parts, do not agree on what a number means."""
    _write(tmp_path / "root/train.parquet", _table(6, "image", "label"), {"label": _FINE})
    other = {"label": {"_type": "ClassLabel", "names": ["bee", "ant", "cow"]}}
    _write(tmp_path / "root/test.parquet", _table(2, "image", "label"), other)
    assert "other names of the classes" in message(tmp_path / "root")


@needs_pyarrow
def test_names_that_are_numbers_in_the_order_of_words(tmp_path):
    """A folder of 11 classes, 0 to 10, is stored so: its label 2 is called 10."""
    features = {"label": {"_type": "ClassLabel", "names": ["0", "1", "10"]}}
    _write(tmp_path / "root/train.parquet", _table(11, "image", "label"), features)
    assert read(tmp_path / "root", ("0", "1", "10")) == {"train": 30, "test": 3}


@needs_pyarrow
def test_a_label_that_has_no_name(tmp_path):
    _write(
        tmp_path / "root/train.parquet",
        _table(6, "image", "label", "from_one"),
        {"label": _FINE},
    )
    assert "the label 3" in message(tmp_path / "root")


@needs_pyarrow
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_file(tmp_path, share):
    path = tmp_path / "root/train.parquet"
    _write(path, _table(6, "image", "label"), {"label": _FINE})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    text = message(tmp_path / "root")
    assert "train.parquet: not a readable parquet file" in text
    path.write_bytes(content[:20] + bytes(len(content) // 2) + content[20 + len(content) // 2 :])
    assert "train.parquet" in message(tmp_path / "root")
    assert not list((tmp_path / "cache").glob("parquet-*"))


@needs_pyarrow
def test_parts_that_are_not_clear(tmp_path):
    for name in ("train.parquet", "more.parquet"):
        _write(tmp_path / "root" / name, _table(4, "image", "label"))
    assert "more.parquet: expected parquet files whose names begin" in message(tmp_path / "root")
    for name in ("a/train.parquet", "b/train.parquet"):
        _write(tmp_path / "two" / name, _table(4, "image", "label"))
    assert "of one part are in a, b" in message(tmp_path / "two")


@needs_pyarrow
def test_parquet_next_to_images_and_in_a_zip(tmp_path):
    _write(tmp_path / "a.parquet", _table(11, "image", "label", "str"))
    content = (tmp_path / "a.parquet").read_bytes()
    root = write(tmp_path / "root", {**folders("", 10), "train.parquet": content})
    assert sum(read(root).values()) == 30
    assert "1 .parquet" in said(root)
    assert read(zip_of(tmp_path / "a.zip", {"train.parquet": content})) == {"train": 30, "test": 3}


@needs_pyarrow
@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        ("large_string", CLASSES),
        ("dictionary", CLASSES),
        ("double", ("0", "1", "2")),
        ("minus", ("-1", "0", "1")),
    ],
)
def test_types_of_labels(tmp_path, kind, classes):
    import pyarrow

    table = _table(11, "image", "label", "str")
    numbers = [CLASSES.index(word) for word in table["label"]]
    table["label"] = {
        "large_string": lambda: pyarrow.array(table["label"], pyarrow.large_string()),
        "dictionary": lambda: pyarrow.array(table["label"]).dictionary_encode(),
        "double": lambda: pyarrow.array(map(float, numbers)),
        "minus": lambda: pyarrow.array([number - 1 for number in numbers]),
    }[kind]()
    _write(tmp_path / "root/train.parquet", table)
    assert read(tmp_path / "root", classes) == {"train": 30, "test": 3}


@needs_pyarrow
@pytest.mark.parametrize("none", [None, "", "nan", "None", float("nan")])
def test_no_label_and_yes_or_no(tmp_path, none):
    table = _table(11, "image", "label")
    words = [("yes", "no", none)[number] for number in table["label"]]
    if isinstance(none, float):
        words = [(0.0, 1.0, none)[number] for number in table["label"]]
    _write(tmp_path / "root/train.parquet", {**table, "label": words})
    assert "left out, without a label: 11 of train" in said(tmp_path / "root")
    table["label"] = [number > 0 for number in table["label"]]
    _write(tmp_path / "flags/train.parquet", table)
    assert found_in(tmp_path / "flags").classes == ("false", "true")


@needs_pyarrow
@pytest.mark.parametrize("label", [[1, 2], {"a": 1}])
def test_labels_that_are_lists(tmp_path, label):
    table = {**_table(4, "image", "label"), "label": [label] * 12}
    _write(tmp_path / "root/train.parquet", table)
    assert "the column 'label' is of the type" in message(tmp_path / "root")
    assert "the column 'label' is of" in message(tmp_path / "root", label_column="label")


@needs_pyarrow
@pytest.mark.parametrize("path", [b"a.png", 7])
def test_paths_that_are_no_texts(tmp_path, path):
    table = _table(11, "image", "label", "str")
    table["image"] = [{**one, "path": path} for one in table["image"]]
    _write(tmp_path / "root/train.parquet", table)
    assert read(tmp_path / "root") == {"train": 30, "test": 3}


@needs_pyarrow
def test_errors_of_pyarrow(tmp_path, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    def fails(*_, **__):
        raise pyarrow.ArrowNotImplementedError("no such codec")

    _write(tmp_path / "root/train.parquet", _table(4, "image", "label"))
    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", fails)
    assert "damaged or cut short (no such codec)" in message(tmp_path / "root")


@needs_pyarrow
def test_a_label_that_only_the_test_part_has(tmp_path):
    _write(tmp_path / "root/train.parquet", _table(6, "image", "label", "str"))
    table = _table(2, "image", "label", "str")
    _write(tmp_path / "root/test.parquet", {**table, "label": ["Ant", *table["label"][1:]]})
    assert "the label Ant is of none of the 3 classes" in message(tmp_path / "root")
