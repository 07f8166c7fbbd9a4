"""Damaged, odd and misplaced inputs for the tables of `test_bad_input.py`.

The functions of the first half write something below a folder. Those of the second half are, or
return, the first entry of a row: `make(place, run)`, which writes the input below `place`; `run` is
a finished run to copy from.
"""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from conftest import paint
from PIL import Image
from safetensors.numpy import load_file, save_file

LONG = "x" * 300  # a name that no file system takes
# Command lines of the rows; `{t}` is the row's folder. The rows on images have a small model.
SMALL = (
    "main.py --config.train.steps=2 --config.train.batch_size=4 --config.model.name=vit_n_8 "
    "--config.model.image_size=8 --config.data.cache_dir={t}/cache"
)
OWN = f"{SMALL} --config.data.name=folder --config.data.root={{t}}/images"
CIFAR = f"{SMALL} --config.data.name=cifar10 --config.data.root={{t}}"
TINY = f"{SMALL} --config.data.name=tiny_imagenet --config.data.root={{t}}/tiny-imagenet-200.zip"
IMAGENET = f"{SMALL} --config.data.name=imagenet --config.data.root={{t}}/imagenet"
VAL = "val.py --weights={t}/weights.safetensors"
AGAIN = "main.py --config.train.steps=2 --config.train.batch_size=8 --workdir={t}/run"


def picture(size: int = 8, kind: str = "png") -> bytes:
    """Returns a whole image file."""
    buffer = io.BytesIO()
    Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    ).save(buffer, kind)
    return buffer.getvalue()


def bomb(side: int = 60_000) -> bytes:
    """Returns a PNG of a few bytes that states `side` x `side` pixels."""

    def chunk(content: bytes) -> bytes:
        return (
            (len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")
        )

    head = b"IHDR" + side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(head) + chunk(b"IDAT" + zlib.compress(bytes(100)))


def write(place: Path, name: str, content: bytes | str) -> Path:
    """Writes a file, and the folders above it."""
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def images(place: Path, **extra: bytes) -> None:
    """Writes `images/` with train and test: 2 classes of 6 and 2 images.

    `extra` replaces the third training image.
    """
    paint(place / "images" / "train", 2, 6, 8)
    paint(place / "images" / "test", 2, 2, 8)
    for content in extra.values():
        write(place, "images/train/class_0/002.png", content)


def archive(place: Path, name: str, files: dict[str, bytes | str]) -> None:
    """Writes a tar.gz or a zip, by the ending of its name."""
    path = write(place, name, b"")
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as target:
            for member, content in files.items():
                target.writestr(member, content)
        return
    with tarfile.open(path, "w:gz") as target:
        for member, content in files.items():
            body = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(member)
            entry.size = len(body)
            target.addfile(entry, io.BytesIO(body))


def cifar(
    place: Path, images=4, labels=(0, 1, 0, 1), names=(b"cat", b"dog"), key=b"labels", width=3072
) -> None:
    """Writes CIFAR-10's folder with `images` images in each of its files."""
    batch = {b"data": np.zeros((images, width), np.uint8), key: list(labels)}
    files = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name, content in {
        **dict.fromkeys(files, batch),
        "batches.meta": {b"label_names": list(names)},
    }.items():
        write(place, f"cifar-10-batches-py/{name}", pickle.dumps(content, protocol=2))


def tiny(place: Path, **replaced: bytes | str | None) -> None:
    """Writes Tiny ImageNet's zip of 2 classes.

    `replaced` has other contents for some names; None: no such file.
    """
    files: dict[str, bytes | str | None] = {
        "wnids.txt": "n01\nn02\n",
        "val/val_annotations.txt": "",
    }
    for number, wnid in enumerate(("n01", "n02")):
        for image in range(3):
            files[f"train/{wnid}/images/{wnid}_{image}.JPEG"] = picture(64, "jpeg")
        files[f"val/images/val_{number}.JPEG"] = picture(64, "jpeg")
        files["val/val_annotations.txt"] += f"val_{number}.JPEG\t{wnid}\t0\t0\t1\t1\n"
    files.update(replaced)
    kept = {
        f"tiny-imagenet-200/{name}": content
        for name, content in files.items()
        if content is not None
    }
    archive(place, "tiny-imagenet-200.zip", kept)


def imagenet(place: Path, labels: str | None = "val_0.png 0\nval_1.png 1\n") -> None:
    """Writes ImageNet's folder with a flat `val/`, and its list of labels."""
    paint(place / "imagenet" / "train", 2, 4, 8)
    for number in range(2):
        write(place, f"imagenet/val/val_{number}.png", picture())
    if labels is not None:
        write(place, "imagenet/val_list.txt", labels)


def changed_weights(place: Path, source: Path, change) -> None:
    """Writes a run's `weights.safetensors` after `change(arrays, own)`.

    `own` is the description of the weights.
    """
    from common.safetensors_files import METADATA, read_safetensors

    own = json.loads(read_safetensors(source, arrays=False)[1][METADATA])
    arrays = load_file(source)
    change(arrays, own)
    place.mkdir(parents=True, exist_ok=True)
    save_file(arrays, str(place / "weights.safetensors"), {METADATA: json.dumps(own)})


def changed_run(place: Path, source: Path, change) -> None:
    """Writes `run/`, a copy of a run after `change(config)` of its config.json."""
    shutil.copytree(source, place / "run")
    path = place / "run" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")


def nothing(place: Path, run: Path) -> None:
    """The command line alone is wrong."""


def made(function, *arguments, **fields):
    """Returns `function(place, ...)` for a row."""
    return lambda place, run: function(place, *arguments, **fields)


def config(text: str):
    """`c.py` with a `get_config` that ends with the statements of the text on `c`."""
    head = "from configs import default\ndef get_config():\n    c = default.get_config()\n"
    return made(write, "c.py", f"{head}    c.train.steps = 1\n    {text}\n")


def images_then(change):
    """`images/` after `change(folder)`."""

    def make(place: Path, run: Path) -> None:
        images(place)
        change(place / "images")

    return make


def cifar_file(name: str, content: bytes):
    """CIFAR-10's folder with another content of one file."""

    def make(place: Path, run: Path) -> None:
        cifar(place)
        write(place, f"cifar-10-batches-py/{name}", content)

    return make


def tiny_with(name: str, content):
    """Tiny ImageNet's zip with another content of one file (None: without it)."""
    return made(tiny, **{name: content})


def weights(change):
    """The run's weights, changed as in `changed_weights`."""
    return lambda place, run: changed_weights(place, run / "weights.safetensors", change)


def own_field(group: str, name: str, value):
    """The run's weights with another value of a field in their config."""
    return weights(lambda arrays, own: own["config"][group].update({name: value}))


def run_config(change):
    """A copy of the run, changed as in `changed_run`."""
    return lambda place, run: changed_run(place, run, change)


def run_file(name: str, content: bytes | str | None):
    """A copy of the run with another content of one file (None: without it)."""

    def make(place: Path, run: Path) -> None:
        shutil.copytree(run, place / "run")
        (place / "run" / name).unlink() if content is None else write(place, f"run/{name}", content)

    return make


def zip_in_zip(place: Path, run: Path) -> None:
    """Tiny ImageNet's zip inside a zip of that name."""
    tiny(place)
    inner = (place / "tiny-imagenet-200.zip").read_bytes()
    archive(place, "tiny-imagenet-200.zip", {"tiny-imagenet-200.zip": inner})


def cut_short(name: str, make):
    """What `make` writes, with the end of one file cut off."""

    def cut(place: Path, run: Path) -> None:
        make(place, run)
        path = place / name
        path.write_bytes(path.read_bytes()[:-60])

    return cut


def closed(name: str, make):
    """What `make` writes, with one file or folder that only root may read."""

    def close(place: Path, run: Path) -> None:
        make(place, run)
        (place / name).chmod(0)

    return close


def copied(place: Path, run: Path) -> None:
    """The run's weights as they are."""
    shutil.copy(run / "weights.safetensors", place)
