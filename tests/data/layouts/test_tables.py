"""Tables of images and classes, as Kaggle, Hugging Face and Roboflow have them."""

import pytest
from data_trees import CLASSES, flat, folders, message, picture, read, rows, said, write

_DIVIDED = {"train": 30, "test": 3}  # of 11 images of each of three classes


def _table(form="{base},{word}", titles="filename,label\n", place="train/", name="train.csv"):
    """Returns 33 images, and the text of a table with a row for each."""
    images = flat(place, 11, ".jpg")
    return {**images, name: titles + rows(images, form)}


@pytest.mark.parametrize(
    ("form", "titles"),
    [
        ("{base},{word}", "filename,label\n"),
        ("{stem},{word}", "id,breed\n"),
        ("{name},{word}", "path,species\n"),
        ("{word},{base}", "label,filename\n"),
        ("{base};{word}", "filename;label\n"),
        ("{base}\t{word}", "filename\tlabel\n"),
        ("{base}|{word}", "filename|label\n"),
        ("{base}, {word}", "filename, label\n"),
        ('"{base}","{word}"', '"filename","label"\n'),
        ('{base},"a, ""b""\n c",{word}', "image,note,label\n"),
        ("{label}{label},{base},x,{word}", ",image,note,label\n"),
        ("{base},{word},", "filename,label,\n"),
        ("{base},{word}", ""),
        ("{word},{base}", ""),
        ("{base},{label},{word}", "image,label,class_name\n"),
        ("{base},{label},{word}", "image,category,label\n"),
        ("{base},{word},12", "image,what,age\n"),
        ("{base},{word},8,8,1,1,5,5", "filename,class,width,height,xmin,ymin,xmax,ymax\n"),
        ("{stem},{stem}.jpg,{word}", "id,file,label\n"),
        ("/kaggle/input/x/train/{base},{word}", "filepath,label\n"),
        ("C:\\me\\train\\{base},{word}", "filepath,label\n"),
        ("{base},{word}", "图片,类别\n"),
    ],
)
def test_columns(tmp_path, form, titles):
    assert read(write(tmp_path / "root", _table(form, titles))) == _DIVIDED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gbk"])
def test_encodings(tmp_path, encoding):
    files = _table(titles="文件名,标签\n")
    files["train.csv"] = files["train.csv"].replace("\n", "\r\n").encode(encoding)
    assert read(write(tmp_path / "root", files)) == _DIVIDED


@pytest.mark.parametrize(
    "place", ["", "train/", "train_images/", "images/", "train/images/", "jpeg/train/", "x/y/"]
)
def test_where_the_images_are(tmp_path, place):
    assert read(write(tmp_path / "root", _table(place=place))) == _DIVIDED


@pytest.mark.parametrize(
    "name",
    ["labels.csv", "train_labels.csv", "Training_set.csv", "data.csv", "metadata.csv", "Train.CSV"],
)
def test_names_of_the_table(tmp_path, name):
    assert read(write(tmp_path / "root", _table(name=name))) == _DIVIDED
    below = {f"data/{file}": content for file, content in _table(name=name).items()}
    assert read(write(tmp_path / "below", below)) == _DIVIDED


def test_a_table_of_another_name_is_named(tmp_path):
    assert "not understood: foo.csv" in message(write(tmp_path / "root", _table(name="foo.csv")))


@pytest.mark.parametrize(
    ("columns", "train", "test"),
    [
        ("filename\n{base}", 30, 3),  # no classes
        ("filename,width\n{base},8", 30, 3),
        ("filename,width,height\n{base},8,9", 30, 3),
        ("filename,label\n{base},", 30, 3),
        ("filename,label\n{base},{word}", 33, 6),
        ("label,filename\n{word},{base}", 33, 6),
    ],
)
def test_a_table_of_the_test_images(tmp_path, columns, train, test):
    titles, form = columns.split("\n")
    images = flat("test/", 2, ".jpg")
    tables = {"test.csv": f"{titles}\n{rows(images, form)}"}
    tables["sample_submission.csv"] = "filename,label\n" + rows(images, "{base},ant")
    root = write(tmp_path / "root", {**_table(), **images, **tables})
    assert read(root) == {"train": train, "test": test}
    assert ("test.csv has no column of classes" in said(root)) == (test == 3)


@pytest.mark.parametrize(("one", "none"), [("1", "0"), ("1.0", "0.0"), ("True", "False")])
def test_a_column_for_each_class(tmp_path, one, none):
    cells = {
        number: ",".join(one if n == number else none for n in range(3)) for number in range(3)
    }
    files = _table("{base},#{label}", "image,ant,bee,cow\n")
    for number, text in cells.items():
        files["train.csv"] = files["train.csv"].replace(f"#{number}", text)
    assert read(write(tmp_path / "root", files)) == _DIVIDED
    files["train.csv"] = files["train.csv"].replace(cells[0], ",".join([one, one, none]))
    assert "ant, bee, cow has the classes? set data.label_column" in message(
        write(tmp_path / "root", files)
    )


def _with_column(title: str, values: list[str], name="labels.csv") -> dict:
    files = _table(name=name)
    lines = files[name].splitlines()
    cells = [title, *(values[number % len(values)] for number in range(len(lines) - 1))]
    return {**files, name: "\n".join(map(",".join, zip(lines, cells)))}


@pytest.mark.parametrize("name", ["labels.csv", "train.csv"])
def test_a_column_of_the_part(tmp_path, name):
    files = _with_column("split", ["train", "valid", "test"], name)
    assert read(write(tmp_path / "three", files)) == {"train": 11, "val": 11, "test": 11}
    files = _with_column("Usage", ["Training", "Testing"], name)
    assert read(write(tmp_path / "two", files)) == {"train": 17, "test": 16}
    files = _with_column("is_valid", ["False", "True", "False"], name)
    assert read(write(tmp_path / "flag", files)) == {"train": 22, "test": 11}
    files = _with_column("is_train", ["1", "0"], name)
    assert read(write(tmp_path / "train", files)) == {"train": 17, "test": 16}
    files = _with_column("fold", ["0", "1", "2"], name)
    root = write(tmp_path / "fold", files)
    assert read(root) == _DIVIDED
    assert "not used: fold" in said(root)


def test_a_part_that_is_none(tmp_path):
    files = _with_column("split", ["train", "test", "extra", ""])
    text = message(write(tmp_path / "root", files))
    assert "the column 'split' has '', 'extra'; expected train, val or test" in text


def test_columns_that_are_not_clear(tmp_path):
    files = _table("{base},{word},{label}", "image,species,breed\n")
    root = write(tmp_path / "root", files)
    assert read(root) == _DIVIDED  # they divide the images alike
    write(root, {"train.csv": files["train.csv"].replace("0_1.jpg,ant,0", "0_1.jpg,ant,9")})
    assert "which of the columns species, breed has the classes?" in message(root)
    assert read(root, label_column="species") == _DIVIDED
    assert "has no column 'kind'; it has image, species, breed" in message(
        root, label_column="kind"
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("gone.jpg,ant", "train.csv: row 35: gone.jpg is not there"),
        ("0_1.jpg,", "row 35: 0_1.jpg has no class"),
        ("0_1.jpg", "row 35 has 1 cells, expected 2"),
    ],
)
def test_rows_that_are_wrong(tmp_path, row, words):
    files = _table()
    root = write(tmp_path / "root", {**files, "train.csv": files["train.csv"] + row})
    assert words in message(root)


def test_rows_that_come_twice(tmp_path):
    files = _table()
    root = write(tmp_path / "root", {**files, "train.csv": files["train.csv"] + "0_1.jpg,bee\n"})
    assert "1 images with two classes" in said(root)


def test_the_image_is_the_one_that_is_meant(tmp_path):
    """Masks, and test images of the same names, are of another colour."""
    masks = {name: picture(4) for name in flat("masks/", 11, ".jpg")}
    files = {**_table(place="photos/"), **masks}
    assert read(write(tmp_path / "masks", files)) == _DIVIDED
    other = {name: picture(4) for name in flat("test/", 11, ".jpg")}
    assert read(write(tmp_path / "test", {**_table(), **other})) == _DIVIDED
    unclear = {name: picture(4) for name in flat("other/", 11, ".jpg")}
    root = write(tmp_path / "unclear", {**_table(place="photos/"), **unclear})
    assert "2_10.jpg may be any of other/2_10.jpg, photos/2_10.jpg" in message(root)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_hugging_face_metadata(tmp_path, name):
    def text(place: str, images: dict) -> str:
        if name.endswith("csv"):
            return "file_name,label\n" + rows(images, f"{place}{{base}},{{word}}")
        return rows(images, f'{{{{"file_name": "{place}{{base}}", "label": "{{word}}"}}}}')

    train, test = flat("train/", 6), flat("test/", 2)
    root = write(tmp_path / "root", {**flat("", 11), name: text("", flat("", 11))})
    assert read(root) == _DIVIDED
    each = {f"train/{name}": text("", train), f"test/{name}": text("", test)}
    assert read(write(tmp_path / "each", {**train, **test, **each})) == {"train": 18, "test": 6}
    whole = text("train/", train) + "\n".join(text("test/", test).splitlines()[-6:])
    files = {**train, **test, name: whole}
    assert read(write(tmp_path / "whole", files)) == {"train": 18, "test": 6}
    root = write(tmp_path / "only", {**train, **test, f"train/{name}": text("", train)})
    assert read(root) == {"train": 15, "test": 3}
    assert "test has no table of its classes" in said(root)


@pytest.mark.parametrize("columns", ["text", "text,width", "text,kind"])
def test_metadata_without_classes_next_to_class_folders(tmp_path, columns):
    train, test = folders("train/", 6), folders("test/", 2)
    cells = {"text": "a picture {}", "width": "8", "kind": "xy"}

    def text(start: str, images: dict) -> str:
        lines = [
            ",".join([name.removeprefix(start), *(cells[c].format(n) for c in columns.split(","))])
            for n, name in enumerate(images)
        ]
        return "\n".join([f"file_name,{columns}", *lines])

    each = {
        "train/metadata.csv": text("train/", train),
        "test/metadata.csv": text("test/", test),
    }
    assert read(write(tmp_path / "each", {**train, **test, **each})) == {"train": 18, "test": 6}
    whole = {"metadata.csv": text("", {**train, **test})}
    assert read(write(tmp_path / "whole", {**train, **test, **whole})) == {"train": 18, "test": 6}


def test_captions_are_no_classes(tmp_path):
    images = flat("train/", 6)
    lines = "\n".join(f"{name[6:]},a picture of {n}" for n, name in enumerate(images))
    root = write(tmp_path / "root", {**images, "train/metadata.csv": f"file_name,text\n{lines}"})
    assert "no class folders" in message(root)


def test_roboflow(tmp_path):
    files = {}
    for part, count in (("train/", 6), ("valid/", 2)):
        images = flat(part, count, ".jpg")
        text = "filename, ant, bee, cow\n" + rows(images, "{base}, #{label}")
        for number, cells in enumerate(("1, 0, 0", "0, 1, 0", "0, 0, 1")):
            text = text.replace(f"#{number}", cells)
        files.update({**images, f"{part}_classes.csv": text})
    assert read(write(tmp_path / "root", files)) == {"train": 18, "test": 6}


@pytest.mark.parametrize(
    "table", ["a,b\n1,2\n", "class,description\nant,x\nbee,y\n", "epoch,loss\n1,2\n2,1\n", ""]
)
@pytest.mark.parametrize("name", ["train.csv", "labels.csv"])
def test_tables_of_something_else(tmp_path, name, table):
    files = {**folders("train/", 6), **folders("test/", 2), name: table}
    root = write(tmp_path / "root", files)
    if table:
        assert read(root, CLASSES) == {"train": 18, "test": 6}
    else:
        assert f"{name}: has no rows" in message(root)


def test_names_that_a_spreadsheet_made_numbers(tmp_path):
    images = {f"train/00{name}": one for name, one in flat("", 11, ".jpg").items()}
    plain = {name.replace("_", ""): one for name, one in images.items()}
    lines = "".join(f"{int(n[6:-4])},{CLASSES[int(n[8])]}\n" for n in plain)
    root = write(tmp_path / "root", {**plain, "train.csv": "id,label\n" + lines})
    assert "not understood: train.csv" in message(root)
