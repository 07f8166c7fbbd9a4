"""The check of a data set: each number of the JSON, what the page has, and the exit codes."""

from __future__ import annotations

import json
import re
import tarfile
import zipfile

import numpy as np
import pytest
from conftest import run_program
from PIL import Image

from configs import default
from data.check import duplicates, parts, scan, which_set
from tools.check_data import check

_CLASSES = ("<b>&cat", "狗", "bird")  # in sorted order: <b>&cat, bird, 狗
_TURNED = 6


def _noise(seed: int, height: int = 12, width: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _save(path, pixels, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def root(tmp_path):
    """Three classes of which one has a single training image, with every fault there is."""
    root = tmp_path / "made"
    cat, dog, bird = _CLASSES
    for number in range(6):
        _save(root / "train" / cat / f"{number}.png", _noise(number))
        _save(root / "train" / dog / f"{number}.png", _noise(100 + number))
        _save(root / "test" / cat / f"{number}.png", _noise(200 + number))
        _save(root / "test" / dog / f"{number}.png", _noise(300 + number))
    _save(root / "train" / bird / "0.png", np.full((12, 10, 3), 51, np.uint8))
    _save(root / "test" / bird / "0.png", _noise(400, 12, 60))
    # The same pixels: twice in train, in another file format; in train and test; as two classes.
    _save(root / "train" / cat / "copy.bmp", _noise(0))
    _save(root / "test" / dog / "copy.png", _noise(101))
    _save(root / "train" / dog / "contradiction.png", _noise(2))
    (root / "train" / cat / "damaged.png").write_bytes(
        (root / "train" / cat / "5.png").read_bytes()[:200]
    )
    exif = Image.Exif()
    exif[0x0112] = _TURNED
    _save(root / "train" / dog / "turned.jpg", _noise(500), exif=exif)
    _save(root / "train" / cat / "grey.png", _noise(501)[..., 0])
    (root / "train" / cat / "notes.txt").write_text("x", encoding="utf-8")
    return root


def _config(name, root, **fields):
    config = default.get_config()
    config.data.update(name=name, root=str(root), **fields)
    return config


def _train(known):
    return known["parts"]["train"]


def test_parts_and_classes(root):
    known, _, _ = check(_config("folder", root))
    train, test = known["parts"]["train"], known["parts"]["test"]
    assert list(known["parts"]) == ["train", "test"]
    assert (known["classes"], train["images"], test["images"]) == (3, 18, 14)
    assert (train["origin"], test["origin"]) == ("train/", "test/")
    assert train["images_of_class"] == {"<b>&cat": 9, "bird": 1, "狗": 8}
    assert list(train["images_of_class"]) == ["<b>&cat", "bird", "狗"]
    assert test["images_of_class"] == {"<b>&cat": 6, "bird": 1, "狗": 7}
    assert train["smallest_class"] == ["bird", 1]
    assert train["largest_class"] == ["<b>&cat", 9]
    assert (train["imbalance"], test["imbalance"]) == (9.0, 7.0)
    assert (train["small_classes"], train["missing_classes"]) == (["bird"], [])
    assert any("notes.txt" in note for note in train["notes"])


def test_files_sizes_and_odd_ones(root):
    known, _, _ = check(_config("folder", root))
    train, test = known["parts"]["train"], known["parts"]["test"]
    assert train["kinds"] == {"PNG RGB": 14, "BMP RGB": 1, "JPEG RGB": 1, "PNG L": 1}
    assert train["exif_orientations"] == {"0": 16, "6": 1}
    # The turned image is counted as it is used: upright.
    assert train["sizes"]["most_frequent"] == [[10, 12, 16], [12, 10, 1]]
    assert train["sizes"]["shorter_side"] == [[1, 16, 17]]
    assert train["sizes"]["different"] == 2
    assert train["single_colour"] == ["train/bird/0.png"]
    assert test["long"] == ["test/bird/0.png"]
    assert (test["single_colour"], train["long"], train["large"]) == ([], [], [])
    assert [one["image"] for one in train["damaged"]] == ["train/<b>&cat/damaged.png"]
    assert "not a readable image" in train["damaged"][0]["reason"]
    assert test["damaged"] == []


def test_duplicates(root):
    found = check(_config("folder", root))[0]["duplicates"]
    assert found["within"] == {"train": 2, "test": 0}
    assert found["between"] == {"train and test": 1}
    assert (found["contradicting_groups"], found["contradicting_images"]) == (1, 2)
    assert found["groups"] == 3
    contradiction, shared, repeated = found["listed"]
    assert contradiction == {
        "contradicts": True,
        "images": [
            {"part": "train", "image": "train/<b>&cat/2.png", "class": "<b>&cat"},
            {"part": "train", "image": "train/狗/contradiction.png", "class": "狗"},
        ],
    }
    assert [one["image"] for one in shared["images"]] == ["train/狗/1.png", "test/狗/copy.png"]
    assert [one["image"] for one in repeated["images"]] == [
        "train/<b>&cat/0.png",
        "train/<b>&cat/copy.bmp",
    ]
    assert not shared["contradicts"]
    assert not repeated["contradicts"]


def test_findings_come_worst_first(root):
    _, wrong, _ = check(_config("folder", root))
    assert [(one.spoils, one.text.partition(":")[0]) for one in wrong] == [
        (True, "images with the same pixels, but different classes"),
        (True, "test images that are among the training images, too"),
        (True, "images that can't be used"),
        (False, "training images that repeat another training image"),
        (False, "classes of fewer than 5 training images"),
        (False, "images of a single colour"),
        (False, "images with one side more than 4 times the other"),
    ]
    assert (
        "train/<b>&cat/2.png (train, <b>&cat) = train/狗/contradiction.png (train, 狗)"
        in wrong[0].text
    )


def test_mean_and_std(tmp_path):
    """Each image counts the same, whatever its size: by hand, 0, 51 and 255 of 255."""
    for name, value, side in (("a", 0, 8), ("b", 51, 20), ("c", 255, 9)):
        for part in ("train", "test"):
            pixels = np.full((side, side, 3), (value, 255 - value, 51), np.uint8)
            _save(tmp_path / part / name / f"{part}.png", pixels)
    train = _train(check(_config("folder", tmp_path))[0])
    assert train["mean"] == [0.4, 0.6, 0.2]
    third = round(float(np.std([0, 0.2, 1])), 4)
    assert train["std"] == [third, third, 0.0]
    assert len(train["single_colour"]) == 3


def test_the_page_has_it_all_and_no_address(root):
    page = check(_config("folder", root))[2]
    assert not re.search(r"https?:|//|<script|<link|url\(", re.sub(r"base64,[^\"]*", "", page))
    for text in (
        "&lt;b&gt;&amp;cat",
        "狗",
        "train/狗/contradiction.png",
        "damaged.png",
        "JPEG RGB",
    ):
        assert text in page
    assert "<b>&cat" not in page
    assert page.count('class="finding spoils"') == 3
    assert page.count("data:image/png;base64,") >= 6
    assert "6 (turned left)" in page
    assert page.index("contradiction.png") < page.index("Images of each class")


def test_a_missing_class_and_one_of_many(tmp_path):
    """Of 70 classes there is a strip in place of bars; a list may leave a class without images."""
    lines = {"train": [], "test": []}
    for number in range(140):
        _save(tmp_path / f"{number}.png", _noise(number))
        lines["train" if number < 70 else "test"].append(f"{number}.png {number % 70}")
    lines["test"].pop(7)
    lines["train"][7] = "7.png 8"
    for part, rows in lines.items():
        (tmp_path / f"{part}_list.txt").write_text("\n".join(rows), encoding="utf-8")
    names = "\n".join(f"{number} class-{number:02}" for number in range(70))
    (tmp_path / "label_list.txt").write_text(names, encoding="utf-8")
    known, wrong, page = check(_config("folder", tmp_path))
    assert [_train(known)[key] for key in ("missing_classes", "largest_class")] == [
        ["class-07"],
        ["class-08", 2],
    ]
    assert known["parts"]["test"]["missing_classes"] == ["class-07"]
    missing = [one for one in wrong if one.text.startswith("classes without")]
    assert [one.spoils for one in missing] == [True, True]
    assert page.count('class="strip') == 2
    assert "training images, a bar for each class, the highest is 2" in page
    assert 'class="bars"' not in page


def test_the_same_every_time(root):
    first, second = (check(_config("folder", root)) for _ in range(2))
    assert json.dumps(first[0]) == json.dumps(second[0])
    assert first[2] == second[2]


def test_held_out_and_unlabelled_images_are_parts(root):
    config = _config("folder", root, holdout=0.3, unlabelled_root=str(root / "test"))
    known, wrong, _ = check(config)
    assert list(known["parts"]) == ["train", "val", "test", "unlabelled"]
    assert "images_of_class" not in known["parts"]["unlabelled"]
    between = known["duplicates"]["between"]
    assert between["test and unlabelled"] == known["parts"]["test"]["images"]
    shared = [one for one in wrong if one.text.startswith("test images that are among the unl")]
    shared += [
        one for one in wrong if one.text.startswith("unlabelled images that are among the t")
    ]
    assert not any(one.spoils for one in shared)


def test_exif_that_is_not_applied_is_said(root):
    wrong = check(_config("folder", root, exif_orientation="ignore"))[1]
    assert wrong[-1].text.endswith("read as they are: 1")
    assert "data.exif_orientation=apply" in wrong[-1].remedy


def test_arrays_and_the_built_in_digits():
    known, wrong, _ = check(_config("digits", ""))
    train, test = known["parts"]["train"], known["parts"]["test"]
    assert (train["images"], test["images"]) == (1297, 500)
    assert train["kinds"] == {"array": 1297}
    assert train["sizes"]["most_frequent"] == [[8, 8, 1297]]
    assert not any(one.spoils for one in wrong)


def test_hashes_by_hand(root):
    """Equal pixels of other shapes are other images."""
    wide = _noise(0).reshape(10, 12, 3)
    _save(root / "train" / "bird" / "wide.png", wide)
    loaded = parts.load_parts(_config("folder", root))
    counted = []
    scans = scan.scan(loaded, str(root), 0, counted.append)
    assert sum(counted) == 19 + 14
    names = [
        scans[copy.part].name(copy.position)
        for group in duplicates.find(scans).groups
        for copy in group.copies
    ]
    assert "train/bird/wide.png" not in names
    assert len(names) == 6


@pytest.fixture
def tiny(tmp_path):
    """Tiny ImageNet with two classes and a damaged image, and one of a wrong size."""
    folder = tmp_path / "tiny-imagenet-200"
    rows = []
    for label, wnid in enumerate(("n00000001", "n00000002")):
        for number in range(3):
            seed = 10 * label + number
            path = folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG"
            _save(path, _noise(seed, 64, 64 if seed else 32), format="JPEG")
        _save(folder / "val" / "images" / f"val_{label}.JPEG", _noise(90 + label, 64, 64))
        rows.append(f"val_{label}.JPEG\t{wnid}\t0\t0\t1\t1")
    path.write_bytes(path.read_bytes()[:500])
    (folder / "val" / "val_annotations.txt").write_text("\n".join(rows), encoding="utf-8")
    (folder / "wnids.txt").write_text("n00000001\nn00000002\n", encoding="utf-8")
    return folder


def test_tiny_imagenet_is_read_from_its_files(tiny, tmp_path):
    """A damaged image does not stop the check, and nothing is decoded into the cache."""
    cache = tmp_path / "cache"
    config = _config("", tiny, cache_dir=str(cache))
    config.data.name = which_set.name_of(config.data)
    assert config.data.name == "tiny_imagenet"
    train = _train(check(config)[0])
    assert [one["image"].rpartition("/")[2] for one in train["damaged"]] == [
        "n00000001_0.JPEG",
        "n00000002_2.JPEG",
    ]
    assert train["damaged"][0]["reason"] == "has 32 x 64 pixels, expected 64 x 64"
    assert not list(tmp_path.glob("cache/tiny-imagenet-*"))


def _packed(path, names):
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return path


def test_which_set_it_is(tiny, root, tmp_path):
    def name(place):
        return which_set.name_of(_config("", place, cache_dir=str(tmp_path / "cache")).data)

    assert name(root) == "folder"
    archive = tmp_path / "other.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(tiny / "wnids.txt", "tiny-imagenet-200/wnids.txt")
    assert name(archive) == "tiny_imagenet"
    assert name(_packed(tmp_path / "a.tar.gz", ["cifar-100-python/meta"])) == "cifar100"
    assert name(_packed(tmp_path / "b.tar.gz", ["cifar-10-batches-py/batches.meta"])) == "cifar10"
    assert name(_packed(tmp_path / "c.tar.gz", ["photos/meta"])) == "folder"
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(b"")
    assert name(tmp_path / "ILSVRC2012_img_train.tar") == "imagenet"
    unpacked = tmp_path / "cifar-100-python"
    unpacked.mkdir()
    for file in ("meta", "test"):
        (unpacked / file).write_bytes(b"")
    assert name(unpacked) == "cifar100"


def test_the_command(root, tmp_path):
    out = tmp_path / "out"
    done = run_program("-m", "tools.check_data", root, "--output", out)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "data: folder, 3 classes, images: 18 train (train/), 14 test (test/)"
    assert lines[1].startswith("left out, no images that are read here: 1 .txt")
    assert [line.partition(":")[0] for line in lines[2:]] == ["problem"] * 3 + ["warning"] * 4 + [
        "page"
    ]
    assert done.stderr == ""
    known = json.loads((out / "check.json").read_text(encoding="utf-8"))
    assert known["name"] == "folder"
    assert [one["spoils"] for one in known["findings"]] == [True] * 3 + [False] * 4
    assert "狗" in (out / "check.html").read_text(encoding="utf-8")


def test_a_config_and_a_fine_set(tmp_path):
    """The parts are those of the run: some training images are held out."""
    for number in range(54):
        part = "train" if number < 36 else "test"
        _save(tmp_path / "fine" / part / "abc"[number % 3] / f"{number}.png", _noise(number))
    words = ["--config=configs/folder_small.py", f"--config.data.root={tmp_path / 'fine'}"]
    out, numbers = tmp_path / "out", tmp_path / "n.json"
    done = run_program("-m", "tools.check_data", *words, "--output", out, "--json", numbers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: classes without validation images: 2 of 3 (a, b); set" in done.stdout
    known = json.loads(numbers.read_text(encoding="utf-8"))
    assert {name: one["images"] for name, one in known["parts"].items()} == {
        "train": 32,
        "val": 4,
        "test": 18,
    }
    assert [path.name for path in out.iterdir()] == ["check.html"]


def test_mistakes_are_one_line(root, tmp_path):
    for words, message in (
        ([tmp_path / "absent"], "nothing is there"),
        ([root, "more"], "'more' is not a flag"),
        ([root, "--config=configs/digits_ce.py"], "give either"),
        ([root, "--output", root / "train" / "out"], "is among the images"),
        ([root, "--config.data.exif_orientation=up"], "expected one of"),
    ):
        done = run_program("-m", "tools.check_data", *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert message in done.stderr
