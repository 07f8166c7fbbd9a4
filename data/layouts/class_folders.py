"""Reads labels off folders: the images of a class are below the folder of its name."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

from common.errors import UserError, listed
from data.files.file_tree import FileTree
from data.images.image_folders import image_names, left_out
from data.images.image_kinds import TEXTS, ending_of
from data.layouts.class_names import plain
from data.layouts.found import UNREAD, Found, Listed, divided
from data.layouts.part_names import MASKS

# Folders of pictures and of what belongs to each picture: another kind of data set.
_PICTURES = {
    *("image", "images", "img", "imgs", "jpegimages", "pictures", "photos", "input"),
    "leftimg8bit",
}
_TABLES = (".txt", ".csv", ".tsv", ".list", ".lst", ".json", ".jsonl", ".xlsx", ".xls", ".mat")


def _has_texts_only(tree: FileTree, folder: str) -> bool:
    inside = [name for name in tree.names if name.startswith(f"{folder}/")]
    return bool(inside) and all(ending_of(name) in TEXTS for name in inside)


class ClassFolders:
    """One part in class folders.

    Args:
        tree: its top folders are the classes.
        origin: of the part, such as `train/`.

    Raises:
        UserError: for fewer than two classes, a class without images, or folders that are no
            classes.
    """

    def __init__(self, tree: FileTree, origin: str):
        self.tree, self.origin = tree, origin
        self.images: dict[str, list[str]] = {name: [] for name in tree.top}
        loose, found = [], set()
        for name in image_names(tree):
            found.add(name)
            top, inside, _ = name.partition("/")
            if inside:
                self.images[top].append(name)
            else:
                loose.append(name)
        self.images = {
            name: images
            for name, images in self.images.items()
            if images or not _has_texts_only(tree, name)
        }
        self._check(loose)
        others = [name for name in tree.names if name not in found]
        self.notes = [
            *left_out(tree, loose, "next to the class folders, so of no class"),
            *left_out(tree, [*others, *sorted(tree.odd)], "no images that are read here"),
        ]

    @property
    def classes(self) -> list[str]:
        """The names of the classes in order, in one form of Unicode."""
        return sorted(map(plain, self.images))

    def listed(self, classes: Iterable[str]) -> Listed:
        """Returns the images with labels: positions in `classes`, which are those of this part."""
        folders = {plain(name): name for name in self.images}
        names = [folders[plain(name)] for name in classes]
        return Listed(
            [self.tree.file(image) for name in names for image in self.images[name]],
            [label for label, name in enumerate(names) for _ in self.images[name]],
            self.origin,
        )

    def _check(self, loose: list[str]) -> None:
        tree, classes = self.tree, sorted(self.images)
        if len(classes) < 2:
            found = f"1 class folder ({classes[0]})" if classes else "no class folders"
            more = f", and {len(loose)} images next to them" if loose else ""
            texts = [name for name in tree.top_files if name.lower().endswith(_TABLES)]
            hint = (
                f"; {listed(texts)} there: is that a list or table of the classes? Give it as "
                "data.train_list, or call a table train.csv"
                if texts
                else ", or a list (train_list.txt) or table (train.csv) of their classes"
            )
            if tree.memo.get(UNREAD):
                hint = f"; {tree.memo[UNREAD]}"
            raise UserError(
                f"{tree.place()}: {found}{more}; expected at least 2, each with its images{hint}"
            )
        self._refuse_masks()
        for name in classes:
            if not self.images[name]:
                inside = [one for one in tree.names if one.startswith(f"{name}/")]
                found = "; ".join(left_out(tree, inside, "no images that are read here"))
                raise UserError(
                    f"{tree.place(name)}: no images"
                    + (f" ({found})" if found else "")
                    + "; expected files such as .jpg or .png; remove the folder if it is no class"
                )
        named = defaultdict(list)
        for name in classes:
            named[plain(name)].append(name)
        twice = next((names for names in named.values() if len(names) > 1), None)
        if twice:
            raise UserError(
                f"{tree.place()}: two folders are called {plain(twice[0])!r}, with its accents "
                "written in two ways; put them together"
            )

    def _refuse_masks(self) -> None:
        """Refuses folders of pictures and of masks: they are no classes."""
        pictures = [name for name in self.classes if name.lower() in _PICTURES]
        masks = [name for name in self.classes if name.lower() in MASKS]
        if pictures and masks:
            raise UserError(
                f"{self.tree.place()}: its folders are {listed(self.classes)}, which look like "
                "images with masks or boxes, not like classes; expected a folder for each class"
            )


def read_parts(trees: Mapping[str, tuple[FileTree, str]], notes: Iterable[str] = ()) -> Found:
    """Reads parts in class folders, which must have the same classes.

    Args:
        trees: by the part, the tree of its class folders and its origin.
        notes: lines that come first.

    Raises:
        UserError: when a part is no class folders, or has other classes than the training images.
    """
    train = ClassFolders(*trees["train"])
    parts = {"train": train} | {
        part: ClassFolders(*one) for part, one in trees.items() if part != "train"
    }
    classes = train.classes
    for one in parts.values():
        check_same_classes(one.tree.place(), one.classes, classes)
    said = [line for one in parts.values() for line in one.notes]
    listings = {part: one.listed(classes) for part, one in parts.items()}
    return divided(classes, listings, [*notes, *said])


def _letters(name: str) -> str:
    """Returns a name without capitals, signs, blanks, and wide or composed forms of letters."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())


def check_same_classes(
    place: str, found: Iterable[str], expected: Iterable[str], all_there: bool = True
) -> None:
    """Checks that a part has the classes of the training images.

    Args:
        place: of the part.
        found: its classes.
        expected: the classes of the training images.
        all_there: whether it must have each of them.

    Raises:
        UserError: with the names that it lacks, and those that it has in addition.
    """
    own, known = set(found), set(expected)
    lacks, more = sorted(known - own), sorted(own - known)
    if not more and not (lacks and all_there):
        return
    differences = [
        *(
            [f"it lacks {listed(lacks)}, of which there are training images"]
            if lacks and all_there
            else []
        ),
        *([f"it has {listed(more)}, of which there are no training images"] if more else []),
    ]
    alike = {_letters(name): name for name in (lacks if all_there else sorted(known))}
    same = [(alike[_letters(name)], name) for name in more if _letters(name) in alike]
    hint = f"; {same[0][0]!r} and {same[0][1]!r} differ in spelling only" if same else ""
    raise UserError(
        f"{place}: its classes are not those of the train part: {'; '.join(differences)}{hint}"
    )
