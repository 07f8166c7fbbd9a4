"""Lists and tables with labels and paths that are unusual, missing, or not to be trusted."""

import pytest
from data_trees import flat, found_in, message, picture, rows, said, write, zip_of

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
