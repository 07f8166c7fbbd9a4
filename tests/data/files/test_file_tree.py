"""The tree of a folder has what is below it, and finding that does not look at all names."""

import random

import pytest

from common.errors import UserError
from data.files.file_tree import FileTree
from data.files.stored_files import DiskFile


def _tree(names, folders, **options):
    return FileTree("root/", names, folders, DiskFile, **options)


def _random_names(seed):
    rng = random.Random(seed)
    parts = ["a", "b", "a b", "a-", "a.b", "ab", "a0", "b!", "é", "A"]
    count = rng.randrange(1, 80)
    names = {"/".join(rng.choices(parts, k=rng.randrange(1, 5))) for _ in range(count)}
    folders = {name.rsplit("/", depth)[0] for name in names for depth in (1, 2, 3) if "/" in name}
    return rng, sorted(names), folders


@pytest.mark.parametrize("seed", range(60))
def test_below_is_what_begins_with_the_folder(seed):
    rng, names, folders = _random_names(seed)
    some, others = (frozenset(rng.sample(names, len(names) // 2)) for _ in range(2))
    tree = _tree(names, folders, dead=some, odd=others)

    def expected(all_names, folder):
        start = f"{folder}/"
        return {name[len(start) :] for name in all_names if name.startswith(start)}

    for folder in folders:
        inner = tree.below(folder)
        assert set(inner.names) == expected(names, folder)
        assert inner.names == sorted(inner.names, key=lambda name: name.split("/"))
        assert inner.folders == expected(folders, folder)
        assert inner.dead == expected(some, folder)
        assert inner.odd == expected(others, folder)
        for name in inner.names:
            assert str(inner.file(name)) == f"{folder}/{name}"
        for deeper in inner.folders:
            assert inner.below(deeper).names == tree.below(f"{folder}/{deeper}").names
        assert tree.below(folder) is inner
    with pytest.raises(UserError, match="root/none: no such folder"):
        tree.below("none")


class _Counted(str):
    """A name that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, place):
        _Counted.looks += 1
        return super().__getitem__(place)

    def split(self, *parts):
        _Counted.looks += 1
        return super().split(*parts)

    def startswith(self, *parts):
        _Counted.looks += 1
        return super().startswith(*parts)


def test_all_classes_look_at_each_name_once_or_so():
    classes, images = 300, 20
    folders = [_Counted(f"{label}") for label in range(classes)]
    names = [_Counted(f"{label}/{image}") for label in folders for image in range(images)]
    tree = _tree(names, folders)
    _Counted.looks = 0
    assert all(len(tree.below(folder).names) == images for folder in tree.top)
    assert _Counted.looks < 6 * len(names)  # one of each, and about log(names) for a class
