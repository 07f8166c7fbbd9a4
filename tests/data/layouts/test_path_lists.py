"""Lists of paths and labels, as PaddleClas and PaddleX write them, and as people change them."""

import pytest
from data_trees import CLASSES, flat, folders, message, picture, read, rows, said, write

_IMAGES = flat("images/", 6, ".jpg")
_TRAIN = [name for name in _IMAGES if not name.endswith("_5.jpg")]
_TEST = [name for name in _IMAGES if name.endswith("_5.jpg")]
_NAMES = "0 ant\n1 bee\n2 cow\n"
_READ = {"train": 15, "test": 3}


def _lists(form="{name} {label}", names=_NAMES, change=str, first="", encoding="utf-8") -> dict:
    """Returns the images with `train_list.txt`, `val_list.txt` and `label_list.txt`."""
    lists = {"train_list.txt": _TRAIN, "val_list.txt": _TEST}
    files = {
        name: change(first + rows(images, form)).encode(encoding) for name, images in lists.items()
    }
    table = {"label_list.txt": names.encode(encoding)} if names else {}
    return {**_IMAGES, **files, **table}


@pytest.mark.parametrize(
    "form",
    [
        *("{name} {label}", "{name}\t{label}", "{name},{label}", "{name}, {label}"),
        *("{name}  {label}  ", "  {name} {label}", "{name};{label}", "{name}|{label}"),
        *('"{name}" {label}', '"{name}","{label}"', "'{name}' {label}", "{name} 0{label}"),
        *("./{name} {label}", "/{name} {label}", "dataset/{name} {label}", "../ds/{name} {label}"),
        *("/home/me/ds/{name} {label}", "D:\\ds\\{name} {label}", "{base} {label}"),
        *("{name} {word}", "{name}\t{word}", "{name},{word}"),
    ],
)
def test_forms_of_a_line(tmp_path, form):
    assert read(write(tmp_path / "root", _lists(form))) == _READ


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gbk"])
def test_encodings(tmp_path, encoding):
    classes = ("蚂蚁", "蜜蜂", "奶牛")
    files = _lists(names="0 蚂蚁\n1 蜜蜂\n2 奶牛\n", encoding=encoding)
    assert read(write(tmp_path / "root", files), classes) == _READ


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\n\n") + "\n \n",
        lambda text: text.replace("/", "\\"),
        lambda text: text.replace(".jpg", ".JPG"),
        lambda text: text.rstrip("\n"),
    ],
)
def test_line_ends_and_spellings(tmp_path, change):
    assert read(write(tmp_path / "root", _lists(change=change))) == _READ


@pytest.mark.parametrize("title", ["image label\n", "path,class_id\n", "filename\tlabel\n"])
def test_a_line_of_titles(tmp_path, title):
    sign = next(one for one in "\t, " if one in title)
    files = _lists("{name}" + sign + "{label}", first=title)
    assert read(write(tmp_path / "root", files)) == _READ


def test_blanks_and_brackets_in_paths(tmp_path):
    images = {f"my {name.replace('_', ' (')}": one for name, one in _IMAGES.items()}
    lines = "".join(f"{name} {name.split()[1].split('/')[1]}\n" for name in images)
    files = {**images, "train_list.txt": lines, "label_list.txt": _NAMES}
    assert read(write(tmp_path / "root", files)) == {"train": 15, "test": 3}


def test_absolute_paths(tmp_path):
    """Of files that are there, in the root by another spelling, or outside of it."""
    root = write(tmp_path / "root", _IMAGES)
    (tmp_path / "link").symlink_to(root)
    write(root, {"train_list.txt": rows([f"{tmp_path}/link/{name}" for name in _TRAIN])})
    write(root, {"test_list.txt": rows([f"{root}/./{name}" for name in _TEST])})
    write(root, {"label_list.txt": _NAMES})
    assert read(root) == _READ
    write(tmp_path / "lists", {"train_list.txt": rows([f"{root}/{name}" for name in _TRAIN])})
    write(tmp_path / "lists", {"labels.txt": "ant\nbee\ncow\n"})
    assert sum(read(tmp_path / "lists").values()) == 15


@pytest.mark.parametrize(
    "table",
    [
        *(_NAMES, "0\tant\n1\tbee\n2\tcow\n", "0,ant\n1,bee\n2,cow\n", "0: ant\n1: bee\n2: cow\n"),
        *("ant\nbee\ncow\n", "ant\n\nbee\n\ncow", "ant 0\nbee 1\ncow 2\n", "ant,0\nbee,1\ncow,2\n"),
        *("2 cow\n0 ant\n1 bee\n", "label name\n0 ant\n1 bee\n2 cow\n", "# names\nant\nbee\ncow"),
        *(
            '0 "ant"\n1 "bee"\n2 "cow"\n',
            "0：ant\n1：bee\n2：cow\n",
            "\ufeff0 ant\r\n1 bee\r\n2 cow",
        ),
    ],
)
def test_tables_of_names(tmp_path, table):
    assert read(write(tmp_path / "root", _lists(names=table))) == _READ


def test_names_that_end_in_numbers(tmp_path):
    classes = ("boeing 737", "boeing 747", "boeing 767")
    root = write(tmp_path / "root", _lists(names="\n".join(classes)))
    assert read(root, classes) == _READ
    alike = ("kind 0", "kind 1", "kind 2")
    assert read(write(root, {"label_list.txt": "\n".join(alike)}), alike) == _READ


@pytest.mark.parametrize(
    "name",
    [
        *("labels.txt", "label.txt", "classes.txt", "class_names.txt", "flowers_label_list.txt"),
        *("Labels.TXT", "names.txt", "categories.txt", "label_map.txt", "synset.txt", "类别.txt"),
    ],
)
def test_files_of_names(tmp_path, name):
    files = _lists(names="")
    assert read(write(tmp_path / "root", {**files, name: _NAMES})) == _READ


def test_numbers_without_names(tmp_path):
    root = write(tmp_path / "root", _lists(names=""))
    assert read(root, ("0", "1", "2")) == _READ
    assert "called by their numbers" in said(root)
    from_one = {"0 ant": "1", "1 bee": "2", "2 cow": "3"}
    change = _renumbered({"2": "3", "1": "2", "0": "1"})
    assert read(write(root, _lists(names="", change=change)), tuple(from_one.values())) == _READ
    gaps = _renumbered({"2": "1000000007", "1": "50"})
    assert read(write(root, _lists(names="", change=gaps)), ("0", "50", "1000000007")) == _READ


def _renumbered(numbers):
    def change(text: str) -> str:
        for old, new in numbers.items():
            text = text.replace(f" {old}\n", f" {new}\n")
        return text

    return change


def test_numbers_with_gaps_or_from_one(tmp_path):
    files = _lists(names="0 ant\n5 bee\n9 cow\n", change=_renumbered({"2": "9", "1": "5"}))
    assert read(write(tmp_path / "gaps", files)) == _READ
    change = _renumbered({"2": "3", "1": "2", "0": "1"})
    files = _lists(names="1 ant\n2 bee\n3 cow\n", change=change)
    assert read(write(tmp_path / "one", files)) == _READ
    text = message(write(tmp_path / "unclear", _lists(names="ant\nbee\ncow\n", change=change)))
    assert "there is no class 3; label_list.txt has 3 classes" in text


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("0 ant\n1 bee\n", "2_0.jpg 2: there is no class 2; label_list.txt has 2 classes"),
        ("0 ant\n1 bee\n2 bee\n", "label_list.txt: has 3 lines, but 2 different classes"),
        ("0 ant\n1 bee\n1 cow\n", "label_list.txt: has 3 lines"),
        ("\n\n", "label_list.txt: has 0 lines"),
    ],
)
def test_tables_that_are_wrong(tmp_path, names, words):
    assert words in message(write(tmp_path / "root", _lists(names=names)))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("images/gone.jpg 0", "train_list.txt: line 16: images/gone.jpg is not there"),
        ("extra/images/0_0.jpg 0", "line 16: extra/images/0_0.jpg is not there"),
        ("images/0_0.jpg", "line 16, 'images/0_0.jpg', has no label"),
        ("images/0_0.jpg -1", "there is no class -1"),
        ("images/0_0.jpg x", "has no label"),
    ],
)
def test_lines_that_are_wrong(tmp_path, line, words):
    files = _lists()
    files["train_list.txt"] += f"{line}\n".encode()
    assert words in message(write(tmp_path / "root", files))


def test_a_name_without_its_folder_that_is_in_two(tmp_path):
    files = {**_lists("{base} {label}"), **flat("other/", 6, ".jpg")}
    assert "0_0.jpg may be any of images/0_0.jpg, other/0_0.jpg" in message(
        write(tmp_path / "root", files)
    )


def test_the_images_of_a_list_are_those_of_its_part(tmp_path):
    """Both parts have images of the same names; those of the test are of another colour."""
    files = {**flat("train/", 4), **{name: picture(4) for name in flat("test/", 4)}}
    lines = rows(flat("", 4), "{base} {label}")
    files.update({"train_list.txt": lines, "label_list.txt": _NAMES})
    assert sum(read(write(tmp_path / "root", files)).values()) == 12


@pytest.mark.parametrize(
    ("train", "other"),
    [
        *(("train.txt", "val.txt"), ("Train.txt", "TEST.txt"), ("training.txt", "validation.txt")),
        *(("trainlist.txt", "vallist.txt"), ("list_train.txt", "list_val.txt")),
        *(("train_labels.txt", "val_labels.txt"), ("pets_train_list.txt", "pets_val_list.txt")),
        *(("train.list", "val.list"), ("train_list", "val_list"), ("训练集.txt", "测试集.txt")),
        *(("train_0.8.txt", "val_0.2.txt"), ("lists/train.txt", "lists/test.txt")),
        *(("data/train_list.txt", "data/val_list.txt"), ("train_list.txt", "eval_list.txt")),
    ],
)
def test_files_of_lists(tmp_path, train, other):
    files = {**_IMAGES, train: rows(_TRAIN), other: rows(_TEST), "label_list.txt": _NAMES}
    assert read(write(tmp_path / "root", files)) == _READ


def test_parts_without_a_list(tmp_path):
    files = {**_IMAGES, "train_list.txt": rows(_IMAGES), "label_list.txt": _NAMES}
    assert read(write(tmp_path / "train", files)) == {"train": 15, "test": 3}
    three = {**_lists(), "test_list.txt": rows(_TEST)}
    assert read(write(tmp_path / "three", three)) == {"train": 15, "val": 3, "test": 3}
    alone = write(tmp_path / "val", {**_IMAGES, "val_list.txt": rows(_TEST)})
    assert "val_list.txt there" in message(alone)


def test_lists_that_the_config_names(tmp_path):
    root = write(tmp_path / "root", {**_IMAGES, "a/t.lst": rows(_TRAIN), "n.txt": _NAMES})
    outside = write(tmp_path / "lists", {"v.txt": rows(_TEST)}) / "v.txt"
    given = {"train_list": "a/t.lst", "test_list": str(outside), "label_list": "n.txt"}
    assert read(root, **given) == _READ
    assert "data.train_list is empty" in message(root, test_list=str(outside))
    assert "data.train_list: gone.txt is neither" in message(root, train_list="gone.txt")


def test_lists_go_before_class_folders(tmp_path):
    images = folders("", 6)
    lines = "".join(f"{name} {CLASSES.index(name[:3])}\n" for name in images if "5" in name)
    files = {**images, "train_list.txt": lines, "val_list.txt": lines, "label_list.txt": _NAMES}
    root = write(tmp_path / "root", files)
    assert read(root) == {"train": 3, "test": 3}
    notes = said(root)
    assert "train_list.txt and val_list.txt tell the part" in notes
    assert "in no list: 15 .png" in notes
    assert "3 images are in train_list.txt and in val_list.txt" in notes


@pytest.mark.parametrize("place", ["", "meta/"])
@pytest.mark.parametrize("ending", [".png", ""])
def test_lists_without_labels(tmp_path, place, ending):
    """As those of Food-101: the class is the folder."""
    images = [name.removesuffix(".png") for name in folders("", 6)]
    files = {
        **folders("images/", 6),
        f"{place}train.txt": "".join(f"{name}{ending}\n" for name in images if name[-1] != "5"),
        f"{place}test.txt": "".join(f"{name}{ending}\n" for name in images if name[-1] == "5"),
        f"{place}classes.txt": "ant\nbee\ncow\n",
        f"{place}labels.txt": "Ant\nBee\nCow\n",
    }
    root = write(tmp_path / "root", files)
    assert read(root) == _READ
    write(root, {f"{place}test.txt": "ant/gone\n"})
    assert "test.txt: line 1" in message(root)


def test_a_test_list_without_labels_is_not_used(tmp_path):
    """PaddleX writes one for images that are only to be predicted."""
    files = {**_lists(), "test_list.txt": "\n".join(_TEST)}
    root = write(tmp_path / "root", files)
    assert read(root) == _READ
    assert "test_list.txt has no labels, so it is not used" in said(root)


def test_accents_in_two_forms(tmp_path):
    images = {f"caf\u00e9/{name}": one for name, one in flat("", 6).items()}
    files = {**images, "train_list.txt": rows(images).replace("\u00e9", "e\u0301")}
    assert sum(read(write(tmp_path / "root", files), ("0", "1", "2")).values()) == 18


def test_lines_that_come_twice(tmp_path):
    files = _lists()
    files["train_list.txt"] += b"images/0_0.jpg 0\n"
    assert "train_list.txt has 1 images more than once" in said(write(tmp_path / "root", files))
    files["train_list.txt"] += b"images/0_1.jpg 1\n"
    assert "train_list.txt has 1 images with two classes" in said(write(tmp_path / "root", files))


def test_two_tables_of_names(tmp_path):
    files = {**_lists(), "labels.txt": _NAMES}
    root = write(tmp_path / "root", files)
    assert "set data.label_list to the right one" in message(root)
    assert read(root, label_list="labels.txt") == _READ


def test_a_single_class(tmp_path):
    files = {**_IMAGES, "train_list.txt": "".join(f"{name} 0\n" for name in _IMAGES)}
    assert "all images are of the class 0" in message(write(tmp_path / "root", files))


def test_an_empty_list(tmp_path):
    assert "val_list.txt: has no lines" in message(
        write(tmp_path / "root", {**_lists(), "val_list.txt": b"\n"})
    )
