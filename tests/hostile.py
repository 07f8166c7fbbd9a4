"""Reading a stranger's file in a process of its own, whose memory is measured, and valid files to
begin from.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import os
import pickle
import re
import resource
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from PIL import Image
from safetensors.numpy import save_file

from common.errors import UserError
from configs import default
from data.sets import cifar, image_files, tiny_imagenet
from engine.results import metrics_file
from engine.state import checkpoint, run_weights
from engine.state.progress import Progress
from models.weights.formats import array_files
from program import command_line, config_fields, run_folder

_GOLDEN = Path(__file__).parent / "models" / "golden"  # what PyTorch has written
_ROOM = 4 << 30  # bytes of addresses beside those that the tests have already


class Outcome(NamedTuple):
    """How a function ended: `returned`, the name of its exception, or `died`; what it said; how far
    memory grew.
    """

    kind: str
    text: str
    megabytes: int


def in_a_cage(function: Callable[[], object]) -> Outcome:
    """Run a function in a process of its own, whose address space is limited."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(here)
            with open(there, "w", encoding="utf-8") as pipe:
                json.dump(_run(function), pipe)
        finally:
            os._exit(0)
    os.close(there)
    with open(here, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return Outcome(*json.loads(said)) if said else Outcome("died", f"status {status}", 0)


def _run(function: Callable[[], object]) -> tuple[str, str, int]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    limit = (_status("VmSize") << 10) + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        kind, text = "returned", str(function())
    except BaseException as error:
        kind, text = type(error).__name__, str(error)
    return kind, text, (_status("VmHWM") - before) >> 10


def _status(name: str) -> int:
    """In KiB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text()).group(1))


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
    """An archive of contents, or of headers without any."""
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
    """An archive of contents."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tiny_members() -> dict[str, bytes]:
    """What a very small Tiny ImageNet holds."""
    members = {
        "wnids.txt": b"n01\nn02\n",
        "val/val_annotations.txt": b"v_0.PNG\tn01\t0\nv_1.PNG\tn02\t0\n",
    }
    for label, name in enumerate(("n01", "n02")):
        members[f"train/{name}/images/{name}_0.PNG"] = _png(colour=label)
        members[f"val/images/v_{label}.PNG"] = _png(colour=label + 9)
    return {f"tiny-imagenet-200/{name}": content for name, content in members.items()}


def cifar_members() -> dict[str, bytes]:
    """What a very small CIFAR-100 holds."""
    return {f"cifar-100-python/{name}": content for name, content in _cifar_batches().items()}


def stored_config(**fields: object) -> ConfigDict:
    """A resolved config of the smallest model for two classes."""
    small = {
        "model.name": "vit_n_2",
        "model.num_classes": 2,
        "model.image_size": 8,
        "data.eval_crop": 1.0,
    }
    return config_fields.changed(default.get_config(), {**small, **fields})


def write_state(folder: Path, step: int = 2) -> Path:
    """A whole checkpoint."""
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
    """A checkpoint of which one file is another, with the right checksum."""
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
    return metrics_file.read_metrics(path.parent)


def _read_own(path: Path) -> object:
    return run_weights.read(path), command_line.config_of_weights(["val.py", f"--weights={path}"])


# Each reader by the name of the file that it is given, which decides what it is taken for.
READERS: dict[str, Callable[[Path], object]] = {
    **dict.fromkeys(
        ["w.pdparams", "w.npz", "zip.pth", "legacy.pth", "w.safetensors"], array_files.read_arrays
    ),
    "own.safetensors": _read_own,
    "cifar-100-python.tar": _read_cifar,
    "cifar-100-python.tar.gz": _read_cifar,
    "tiny-imagenet-200.zip": _read_tiny,
    **dict.fromkeys(
        [
            "image.png",
            "image.jpg",
            "image.gif",
            "image.tif",
            "image.webp",
            "image.bmp",
            "image.ppm",
        ],
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
    """A small valid file for each reader."""
    arrays = {"a": np.arange(24, dtype=np.float32).reshape(4, 6), "b": np.arange(3)}
    np.savez(folder / "w.npz", **arrays)
    save_file(arrays, str(folder / "w.safetensors"), {"format": "pt"})
    run_weights.save(folder / "own.safetensors", arrays, stored_config(), ("a", "b"))
    state = write_state(folder / "checkpoints")
    numbers = dict.fromkeys(
        ("top1", "top5", "loss", "ece", "step", "images_seen", "images_skipped", "seconds"), 1
    )
    record = {"step": 1, "epoch": 0.5, "split": "train", "loss": 1.0, "seconds": 1.0}
    forms = {"jpg": "JPEG", "tif": "TIFF", "ppm": "PPM"}
    made = {
        "w.pdparams": pickle.dumps({"model": arrays, "list": [1, "x", (np.float32(2), None)]}, 2),
        "zip.pth": (_GOLDEN / "zip.pth").read_bytes(),
        "legacy.pth": (_GOLDEN / "legacy.pth").read_bytes(),
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
            for ending in ("png", "jpg", "gif", "tif", "webp", "bmp", "ppm")
        },
    }
    assert made.keys() == READERS.keys()
    return made


def read_in(folder: Path, name: str, content: bytes) -> object:
    """Write a file into an empty folder and read it; gives what it holds, or the `UserError`.

    Raises:
        AssertionError: also when anything but the reader's own cache was written, or the message is
            no one line.
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
