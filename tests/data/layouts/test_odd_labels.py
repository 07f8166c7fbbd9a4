"""Lists and tables with labels and paths that are unusual, missing, or not to be trusted."""

import json
import unicodedata

import pytest
from data_trees import flat, folders, found_in, message, picture, rows, said, write, zip_of

_PICTURES = flat("images/", 6, ".jpg")
_NAMES = "0 ant\n1 bee\n2 cow\n"


@pytest.mark.parametrize("kind", ["txt", "csv"])
def test_only_lists_on_the_disk_name_files_outside_of_the_tree(tmp_path, kind):
    outside = write(tmp_path / "outside", _PICTURES)
    form, titles = ("{name} {label}", "") if kind == "txt" else ("{name},{label}", "path,label\n")
    lines = titles + rows([f"{outside}/{name}" for name in _PICTURES], form)
    files = {"x.png": picture(0), f"train.{kind}": lines, "labels.txt": _NAMES}
    root = write(tmp_path / "root", files)
    assert f"18 images are read from outside of {root}, such as {outside}" in said(root)
    zipped = zip_of(tmp_path / "a.zip", files)
    assert ("is not there" if kind == "txt" else "class folders") in message(zipped)
    inside = zip_of(tmp_path / "b.zip", {**_PICTURES, **files})
    assert all("b.zip" in str(file) for part in found_in(inside).parts.values() for file in part[0])


def _table(lines, name="train.csv", titles="file,label\n", images=4):
    """Returns images of two classes, and a table with these lines behind those of all images."""
    files = {one: content for one, content in flat("", images).items() if one[0] in "01"}
    if name.endswith("jsonl"):
        own = [json.dumps({"file": one, "label": ("cat", "dog")[int(one[0])]}) for one in files]
        return {**files, name: "\n".join([*own, *lines])}
    own = [f"{one},{('cat', 'dog')[int(one[0])]}" for one in files]
    return {**files, name: titles + "\n".join([*own, *lines])}


@pytest.mark.parametrize("label", ["", "nan", "NaN", "null", "None"])
def test_no_label_is_no_class(tmp_path, label):
    root = write(tmp_path / "root", _table([f"0_0.png,{label}"]))
    assert "row 10: 0_0.png has no class" in message(root)
    train, test = flat("train/", 11), flat("test/", 2)
    tables = {"train.csv": "file,label\n" + rows(train, "{base},{word}")}
    tables["test.csv"] = "file,label\n" + rows(test, f"{{base}},{label}")
    assert "test.csv has no column of classes" in said(
        write(tmp_path / "b", {**train, **test, **tables})
    )


@pytest.mark.parametrize("label", ['"label": null', '"label": ""', '"label": NaN', '"x": 1'])
def test_no_label_in_json(tmp_path, label):
    lines = [f'{{"file": "0_0.png", {label}}}']
    root = write(tmp_path / "root", _table(lines, "train.jsonl"))
    assert "row 10: 0_0.png has no class" in message(root)


@pytest.mark.parametrize("label", ['["cat"]', '{"a": 1}'])
def test_labels_that_are_lists(tmp_path, label):
    lines = [f'{{"file": "0_0.png", "label": {label}}}']
    root = write(tmp_path / "root", _table(lines, "train.jsonl"))
    assert "train.jsonl: the column 'label' has lists or objects" in message(root)


@pytest.mark.parametrize(
    ("values", "classes"),
    [(("true", "false"), ("false", "true")), (("1.0", "10.0"), ("1", "10"))],
)
def test_labels_of_json_that_are_no_texts(tmp_path, values, classes):
    images = [one for one in flat("", 4) if one[0] in "01"]
    lines = [f'{{"file": "{one}", "label": {values[int(one[0])]}}}' for one in images]
    root = write(tmp_path / "root", {**flat("", 4), "train.jsonl": "\n".join(lines)})
    assert found_in(root).classes == classes


def test_whole_numbers_that_pandas_wrote_with_a_point(tmp_path):
    text = "file,label\n" + rows(flat("", 4), "{base},{label}.0")
    root = write(tmp_path / "root", {**flat("", 4), "train.csv": text})
    assert found_in(root).classes == ("0", "1", "2")


@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_classes_without_training_images(tmp_path, kind):
    train, test = flat("train/", 4), flat("test/", 2)
    form, titles = ("{name},{word}", "file,label\n") if kind == "csv" else ("{name} {word}", "")
    own, other = (titles + rows(images, form) for images in (train, test))
    tables = {f"train.{kind}": own, f"test.{kind}": other.replace("bee", "Bee")}
    root = write(tmp_path / "root", {**train, **test, **tables})
    text = message(root)
    assert f"test.{kind}: its classes are not those of the train part: it has Bee, of" in text
    assert "'bee' and 'Bee' differ in spelling only" in text
    fewer = titles + rows([name for name in test if "/2" not in name], form)
    write(root, {f"test.{kind}": fewer})
    found = found_in(root)
    assert (len(found.classes), len(found.parts["test"].files)) == (3, 4)


@pytest.mark.parametrize("kind", ["folders", "csv", "txt", "names"])
def test_accents_in_both_forms(tmp_path, kind):
    """macOS writes an accent as a letter of its own, which has another place in the alphabet."""
    words = ("éclair", "zebra", "fig")
    found = []
    for form in ("NFC", "NFD"):
        images, own = flat("", 4), [unicodedata.normalize(form, word) for word in words]
        lines = {
            "csv": "".join(f"{name},{own[int(name[0])]}\n" for name in images),
            "txt": "".join(f"{name} {own[int(name[0])]}\n" for name in images),
            "names": "".join(f"{name} {name[0]}\n" for name in images),
        }
        files = {**images, f"train.{'csv' if kind == 'csv' else 'txt'}": lines.get(kind, "")}
        if kind == "csv":
            files["train.csv"] = "file,label\n" + files["train.csv"]
        if kind == "names":
            files["labels.txt"] = "\n".join(own)
        if kind == "folders":
            files = folders("", 4, own)
        one = found_in(write(tmp_path / form, files))
        found.append((one.classes, {part: lists.labels for part, lists in one.parts.items()}))
    assert found[0] == found[1]
    assert sorted(found[0][0]) == sorted(words)


def test_numbers_that_are_too_long(tmp_path):
    long = "1" * 5000
    images = flat("", 4)
    root = write(tmp_path / "list", {**images, "train.txt": rows(images) + f"0_0.png {long}\n"})
    assert "train.txt: line 13" in message(root)
    names = {"labels.txt": f"0 ant\n1 bee\n{long} cow\n", "train.txt": rows(images)}
    assert len(found_in(write(tmp_path / "names", {**images, **names})).classes) == 3
    text = "file,label\n" + rows(images, "{base},{label}" + long)
    assert len(found_in(write(tmp_path / "a", {**images, "train.csv": text})).classes) == 3


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0c"])
def test_only_ends_of_lines_cut_lines(tmp_path, sign):
    words = (f"a{sign}b", "bee", "cow")
    images = flat("", 4)
    cells = {name: words[int(name[0])] for name in images}
    csv = "file,label\n" + "".join(f"{name},{word}\r\n" for name, word in cells.items())
    lines = [json.dumps({"file": a, "label": b}, ensure_ascii=False) for a, b in cells.items()]
    tables = {
        "train.csv": csv,
        "train.jsonl": "\n".join(lines),
        "train.txt": "".join(f"{name}\t{word}\n" for name, word in cells.items()),
    }
    for name, text in tables.items():
        root = write(tmp_path / name, {**images, name: text})
        assert sorted(found_in(root).classes) == sorted(words)
    files = {**images, "train.txt": rows(images), "labels.txt": "\n".join(words)}
    assert found_in(write(tmp_path / "names", files)).classes == words


def test_two_columns_of_one_name(tmp_path):
    text = "file,label,label\n" + rows(flat("", 4), "{base},{word},{label}")
    root = write(tmp_path / "root", {**flat("", 4), "train.csv": text})
    assert "train.csv: two columns are called 'label'; rename one" in message(root)


def test_a_table_that_names_no_images(tmp_path):
    images = {f"train/{number:04}.png": picture(number % 3) for number in range(12)}
    text = "id,label\n" + "".join(f"{number},{number % 3}\n" for number in range(12))
    why = "in train.csv no column's cells are names of images: 'id' has '0', and an image is "
    root = write(tmp_path / "root", {**images, "train.csv": text})
    assert f"not understood: train.csv ({why}'train/0000.png')" in message(root)
    bare = {name.removeprefix("train/"): one for name, one in images.items()}
    text = message(write(tmp_path / "bare", {**bare, "train.csv": text}))
    assert (
        f"no class folders, and 12 images next to them; expected at least 2, each with its "
        f"images; {why}'0000.png'" in text
    )
