"""ImageNet as it is published: a tar of tars, a flat tar, and the development kit."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from data_trees import COLOURS, flat, picture, tar_of, write, zip_of
from small_data import small_config

import data
from common.errors import UserError

_WNIDS = ("n01440764", "n01443537", "n02084071")
_NUMBER = {0: 3, 1: 1, 2: 2}  # of each class in the kit, which has an order of its own
_ORDER = (2, 0, 1, 1, 0, 2, 2)  # classes of the validation images
_KIT = "ILSVRC2012_devkit_t12"


def _train_tar(path, images=4):
    inner = {}
    for label, wnid in enumerate(_WNIDS):
        files = {f"{wnid}_{n}.JPEG": picture(label, "jpeg") for n in range(images)}
        inner[f"{wnid}.tar"] = tar_of(path.parent / "inner.tar", files).read_bytes()
    (path.parent / "inner.tar").unlink()
    return tar_of(path, inner)


def _val() -> dict[str, bytes]:
    return {
        f"ILSVRC2012_val_{n:08d}.JPEG": picture(label, "jpeg") for n, label in enumerate(_ORDER, 1)
    }


def _kit() -> dict[str, bytes]:
    from scipy.io import savemat

    rows = [(_NUMBER[label], wnid) for label, wnid in enumerate(_WNIDS)]
    synsets = np.array(rows, dtype=[("ILSVRC2012_ID", "f8"), ("WNID", "U9")])
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": synsets})
    numbers = "".join(f"{_NUMBER[label]}\n" for label in _ORDER).encode()
    return {
        f"{_KIT}/data/meta.mat": buffer.getvalue(),
        f"{_KIT}/data/ILSVRC2012_validation_ground_truth.txt": numbers,
        f"{_KIT}/readme.txt": b"x",
    }


@pytest.fixture
def official(tmp_path):
    root = write(tmp_path / "root", {})
    _train_tar(root / "ILSVRC2012_img_train.tar")
    tar_of(root / "ILSVRC2012_img_val.tar", _val())
    return root


def _sizes(root, **fields):
    """Reads both parts; each label must be that of the colour."""
    config = small_config("imagenet", root, cache_dir=str(root.parent / "cache"), **fields)
    sizes = {}
    for part in ("train", "test"):
        source = data.build(config, part).source
        assert source.classes == _WNIDS
        for place, label in enumerate(source.labels.tolist()):
            mean = source.images[place].mean((0, 1))
            assert np.abs(np.array(COLOURS[:3]) - mean).sum(1).argmin() == label
        sizes[part] = len(source.labels)
    return sizes


@pytest.mark.parametrize("kit", ["unpacked", "tar.gz", "tar", "deeper"])
def test_the_official_archives(official, kit):
    if kit in ("unpacked", "deeper"):
        start = "kit/" if kit == "deeper" else ""
        write(official, {start + name: content for name, content in _kit().items()})
    else:
        tar_of(official / f"{_KIT}.{kit}", _kit(), "w:gz" if kit == "tar.gz" else "w")
    assert _sizes(official) == {"train": 12, "test": 7}
    assert len(list((official.parent / "cache").glob("index-*"))) == 2
    assert _sizes(official) == {"train": 12, "test": 7}  # by the index


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("val_list.txt", "val/{name}.JPEG {label}\n"),
        ("val.txt", "{name}.JPEG {label}\n"),
        ("LOC_val_solution.csv", "{name},{wnid} 1 2 3 4 \n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_other_lists_of_labels(official, name, text, encoding):
    lines = [
        text.format(name=f"ILSVRC2012_val_{n:08d}", label=label, wnid=_WNIDS[label])
        for n, label in enumerate(_ORDER, 1)
    ]
    first = "ImageId,PredictionString\n" if name.endswith("csv") else ""
    write(official, {name: (first + "".join(lines)).replace("\n", "\r\n").encode(encoding)})
    assert _sizes(official) == {"train": 12, "test": 7}


def test_the_root_may_be_one_of_the_archives(official):
    write(official, _kit())
    config = small_config("imagenet", official / "ILSVRC2012_img_train.tar")
    config.data.cache_dir = str(official.parent / "cache")
    assert len(data.build(config, "test")) == 7


def test_workers_read_the_same(official):
    write(official, _kit())
    found = []
    for workers in (0, 2):
        cache = str(official.parent / "cache")
        dataset = data.build(small_config("imagenet", official, cache_dir=cache), "test")
        batches = data.load(dataset, data.EvalSampler(dataset, 2, 0, 1), workers)
        found.append(np.concatenate([batch.images.numpy() for batch in batches]))
    assert (found[0] == found[1]).all()


def _message(root, part="test") -> str:
    config = small_config("imagenet", root, cache_dir=str(root.parent / "cache"))
    with pytest.raises(UserError) as error:
        data.build(config, part)
    return str(error.value)


def test_what_is_missing(official):
    assert "development kit" in _message(official)
    assert str(official) in _message(official)
    write(official, _kit())
    (official / "ILSVRC2012_img_val.tar").unlink()
    assert "ILSVRC2012_img_train.tar, but not" in _message(official)
    (official / "ILSVRC2012_img_train.tar").unlink()
    assert "no folder train" in _message(official, "train")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.95])
@pytest.mark.parametrize("part", ["train", "val"])
def test_archives_that_are_cut_short(official, part, share):
    write(official, _kit())
    path = official / f"ILSVRC2012_img_{part}.tar"
    content = path.read_bytes().rstrip(b"\0")
    path.write_bytes(content[: int(share * len(content))])
    text = _message(official)
    assert path.name in text
    assert "get it again" in text


def test_a_kit_of_other_images(official):
    kit = _kit()
    name = f"{_KIT}/data/ILSVRC2012_validation_ground_truth.txt"
    write(official, {**kit, name: b"1\n2\n"})
    assert "2 labels for 7 validation images" in _message(official)
    write(official, {**kit, name: b"9\n" * 7})
    assert "not readable, or of other classes" in _message(official)


def test_archives_of_the_classes(tmp_path):
    root = write(tmp_path / "root", {**{f"val/{name}": one for name, one in _val().items()}})
    for wnid in _WNIDS:
        (root / "train").mkdir(exist_ok=True)
        tar_of(root / f"train/{wnid}.tar", {f"{wnid}_1.JPEG": picture(0, "jpeg")})
    text = _message(root, "train")
    assert "holds 3 archives, such as n01440764.tar" in text
    assert "unpack each into a folder of its name" in text


@pytest.mark.parametrize("above", ["", "ILSVRC/", "imagenet/ILSVRC/"])
def test_as_kaggle_packs_it(tmp_path, above):
    start = f"{above}Data/CLS-LOC/"
    files = {
        f"{start}train/{wnid}/{wnid}_{n}.JPEG": picture(label, "jpeg")
        for label, wnid in enumerate(_WNIDS)
        for n in range(4)
    }
    files.update({f"{start}val/{name}": one for name, one in _val().items()})
    files.update({f"{start}test/{name}": one for name, one in flat("", 2).items()})
    lines = [f"ILSVRC2012_val_{n:08d},{_WNIDS[c]} 1 2 3 4\n" for n, c in enumerate(_ORDER, 1)]
    files["LOC_val_solution.csv"] = "ImageId,PredictionString\n" + "".join(reversed(lines))
    files["LOC_train_solution.csv"] = "ImageId,PredictionString\n"
    files[f"{above}ImageSets/CLS-LOC/train_cls.txt"] = "x 1\n"
    root = write(tmp_path / "root", files)
    assert _sizes(root) == {"train": 12, "test": 7}
    zip_of(tmp_path / "imagenet.zip", files)
    assert _sizes(tmp_path / "imagenet.zip") == {"train": 12, "test": 7}


def test_a_tar_with_strange_members(tmp_path):
    """A link, a folder and a text are no images."""
    root = write(tmp_path / "root", _kit())
    _train_tar(root / "ILSVRC2012_img_train.tar")
    path = tar_of(root / "ILSVRC2012_img_val.tar", {"./": b"", "readme.txt": b"x", **_val()})
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("ILSVRC2012_val_00000008.JPEG")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert _sizes(root) == {"train": 12, "test": 7}
