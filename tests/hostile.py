"""The readers of strangers' files by file name, and a small valid file for each, to start from."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import pickle
import tarfile
import tempfile
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from PIL import Image
from safetensors.numpy import save_file

from common.errors import UserError
from configs import default
from data.images import image_files
from data.sets import cifar, tiny_imagenet
from engine.results import metrics_reader
from engine.state import checkpoint, run_weights
from engine.state.progress import Progress
from models.weights.formats import array_files, stored
from program import command_line, run_folder
from program.config import config_fields

_ENDINGS = ("png", "jpg", "gif", "tif", "webp", "bmp", "ppm")  # of images
_GOLDEN = Path(__file__).parent / "models" / "golden"  # what PyTorch has written


def _png(size: int = 64, colour: int = 100, form: str = "PNG", mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(colour).integers(0, 255, (size, size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form)
    return file.getvalue()


def _cifar_batches() -> dict[str, bytes]:
    data = np.random.default_rng(0).integers(0, 255, (4, 3072), np.uint8)
    names = {b"fine_label_names": [b"a", b"b"]}
    batch = {b"data": data, b"fine_labels": [0, 1, 1, 0], b"filenames": [b"x"] * 4}
    return {
        "train": pickle.dumps(batch, 2),
        "test": pickle.dumps(batch, 2),
        "meta": pickle.dumps(names, 2),
    }


def tar_of(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    """Returns an archive of contents, or of headers without any."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def zip_of(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Returns an archive of contents."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tiny_members() -> dict[str, bytes]:
    """Returns the members of a very small Tiny ImageNet."""
    members = {
        "wnids.txt": b"n01\nn02\n",
        "val/val_annotations.txt": b"v_0.PNG\tn01\t0\nv_1.PNG\tn02\t0\n",
    }
    for label, name in enumerate(("n01", "n02")):
        members[f"train/{name}/images/{name}_0.PNG"] = _png(colour=label)
        members[f"val/images/v_{label}.PNG"] = _png(colour=label + 9)
    return {f"tiny-imagenet-200/{name}": content for name, content in members.items()}


def cifar_members() -> dict[str, bytes]:
    """Returns the members of a very small CIFAR-100."""
    return {f"cifar-100-python/{name}": content for name, content in _cifar_batches().items()}


def stored_config(**fields: object) -> ConfigDict:
    """Returns a resolved config of the smallest model for two classes."""
    small = {
        "model.name": "vit_n_2",
        "model.num_classes": 2,
        "model.image_size": 8,
        "data.eval_crop": 1.0,
    }
    return config_fields.changed(default.get_config(), {**small, **fields})


def write_state(folder: Path, step: int = 2) -> Path:
    """Writes a whole checkpoint."""
    arrays = {"w": np.arange(3, dtype=np.float32)}
    return checkpoint.save(folder, checkpoint.State(arrays, arrays, Progress(step), arrays), 9)


def _read_cifar(path: Path) -> object:
    return cifar.load(cifar.CIFAR100, ConfigDict({"root": str(path)}), "train")


def _read_tiny(path: Path) -> object:
    cache = path.parent / "cache"
    return tiny_imagenet.load(
        ConfigDict({"root": str(path), "cache_dir": str(cache), "on_corrupt": "error"}), "train"
    )


@functools.cache
def _whole_state() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return {path.name: path.read_bytes() for path in write_state(Path(folder)).iterdir()}


def _read_state(path: Path) -> object:
    """Reads a checkpoint in which one file is replaced, with the right checksum."""
    state = path.parent / "checkpoints" / "step_00000002"
    state.mkdir(parents=True)
    files = {**_whole_state(), path.name: path.read_bytes()}
    if path.name != "manifest.json":
        sums = {
            name: hashlib.sha256(files[name]).hexdigest()
            for name in files
            if name != "manifest.json"
        }
        files["manifest.json"] = json.dumps(sums).encode()
    for name, content in files.items():
        (state / name).write_bytes(content)
    return checkpoint.load(state.parent, 2)


def _read_metrics(path: Path) -> object:
    return metrics_reader.read_metrics(path.parent)


def _read_own(path: Path) -> object:
    return run_weights.read(path), command_line.config_of_weights(["val.py", f"--weights={path}"])


def _read_stored(path: Path) -> object:
    return stored.read_stored(path), stored.read_outline(path)


# Each reader by the name of its file, which decides how the file is read.
READERS: dict[str, Callable[[Path], object]] = {
    **dict.fromkeys(
        ["w.pdparams", "w.npz", "zip.pth", "legacy.pth", "w.safetensors"], array_files.read_arrays
    ),
    "own.safetensors": _read_own,
    **dict.fromkeys(["state.ckpt", "plain.pkl"], _read_stored),
    "cifar-100-python.tar": _read_cifar,
    "cifar-100-python.tar.gz": _read_cifar,
    "tiny-imagenet-200.zip": _read_tiny,
    **dict.fromkeys(
        [f"image.{ending}" for ending in _ENDINGS],
        lambda path: image_files.decode(path, str(path)),
    ),
    "config.json": lambda path: run_folder.read_config(path.parent),
    "result.json": lambda path: run_folder.result(path.parent),
    "stages.json": lambda path: run_folder.stages(path.parent),
    "pretrained.json": lambda path: run_folder.pretrained(path.parent),
    "metrics.jsonl": _read_metrics,
    **dict.fromkeys(["manifest.json", "progress.json", "model.safetensors"], _read_state),
}


def valid_files(folder: Path) -> dict[str, bytes]:
    """Returns a small valid file for each reader."""
    arrays = {"a": np.arange(24, dtype=np.float32).reshape(4, 6), "b": np.arange(3)}
    np.savez(folder / "w.npz", **arrays)
    save_file(arrays, str(folder / "w.safetensors"), {"format": "pt"})
    run_weights.save(folder / "own.safetensors", arrays, stored_config(), ("a", "b"))
    state = write_state(folder / "checkpoints")
    numbers = dict.fromkeys(
        ("top1", "top5", "loss", "ece", "step", "images_seen", "images_skipped", "seconds"), 1
    )
    record = {"step": 1, "epoch": 0.5, "split": "train", "loss": 1.0, "seconds": 1.0}
    names = dict.fromkeys(("patch_embed.w", "blocks.0.w", "blocks.1.w"), arrays["a"])
    models = {key: {f"{key}.{name}": one for name, one in names.items()} for key in ("ema", "net")}
    training = {**models, "args": Namespace(path=Path("a")), "optim": {0: {"step": arrays["b"]}}}
    forms = {"jpg": "JPEG", "tif": "TIFF", "ppm": "PPM"}
    made = {
        "w.pdparams": pickle.dumps({"model": arrays, "list": [1, "x", (np.float32(2), None)]}, 2),
        "zip.pth": (_GOLDEN / "zip.pth").read_bytes(),
        "legacy.pth": (_GOLDEN / "legacy.pth").read_bytes(),
        "plain.pkl": (_GOLDEN / "plain.pkl").read_bytes(),
        "state.ckpt": pickle.dumps(training, 2),
        "cifar-100-python.tar": tar_of(cifar_members()),
        "cifar-100-python.tar.gz": gzip.compress(tar_of(cifar_members())),
        "tiny-imagenet-200.zip": zip_of(tiny_members(), zipfile.ZIP_DEFLATED),
        "config.json": json.dumps(stored_config().to_dict()).encode(),
        "result.json": json.dumps({**numbers, "weights": "w", "beside": {}}).encode(),
        "stages.json": b'["one", "two"]',
        "pretrained.json": b'{"sha256": "0"}',
        "metrics.jsonl": (json.dumps(record) + "\n").encode() * 3,
        **{
            name: (state / name).read_bytes()
            for name in ("manifest.json", "progress.json", "model.safetensors")
        },
        **{
            name: (folder / name).read_bytes()
            for name in ("w.npz", "w.safetensors", "own.safetensors")
        },
        **{
            f"image.{ending}": _png(
                16, 1, forms.get(ending, ending.upper()), "P" if ending == "gif" else "RGB"
            )
            for ending in _ENDINGS
        },
    }
    assert made.keys() == READERS.keys()
    return made


def read_in(folder: Path, name: str, content: bytes) -> object:
    """Writes a file into an empty folder and reads it; returns its content or the `UserError`.

    Raises:
        AssertionError: when anything but the reader's own cache was written, or the message is not
            one printable line.
    """
    path = folder / name
    path.write_bytes(content)
    try:
        found = READERS[name](path)
    except UserError as error:
        found = error
    assert str(found).isprintable() or not isinstance(found, UserError)
    assert {entry.name for entry in folder.iterdir()} <= {name, "cache", "checkpoints"}
    assert path.read_bytes() == content
    return found
