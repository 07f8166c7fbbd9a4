"""What the tests share: Paddle as the programs load it, generated images, running the programs."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from program import paddle_setup  # noqa: E402

paddle_setup.load_paddle()

import paddle  # noqa: E402
from small_runs import small_look, small_run, small_runs  # noqa: E402, F401 (fixtures)

import data  # noqa: E402
from common import threads  # noqa: E402
from tools.measure import peer_timm  # noqa: E402

# Under nohup, programs that the tests start would ignore it, too, and wait for ever.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
SHARED_DATA = ROOT.parent / "shared" / "data"  # real images, where there are any


def without_page(words: Iterable[str]) -> list[str]:
    """Returns a command line on which `main.py` makes no page, which takes a second."""
    given = list(words)
    if "main.py" in given:
        given.insert(given.index("main.py") + 1, "--noreport")
    return given


def run_program(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    """Runs a Python program as a user would, in the project's folder."""
    command = [sys.executable, *without_page(map(str, words))]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )


def launch(
    processes: int, log_dir: Path, *words: str, **environment: str
) -> subprocess.CompletedProcess:
    """Runs a program in several processes by Paddle's launcher."""
    launcher = ("-m", "paddle.distributed.launch", "--nproc_per_node", processes)
    return run_program(*launcher, "--log_dir", log_dir, *words, **environment)


def paint(folder: Path, classes: int, images: int, size: int = 24) -> Path:
    """Writes class folders of generated images that a model can tell apart by their colour."""
    rng = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class_{label}").mkdir(parents=True)
        for number in range(images):
            pixels = rng.integers(0, 120, (size, size + 3, 3))
            pixels[..., label % 3] += 40 + 90 * (label // 3 + 1) // classes
            path = folder / f"class_{label}" / f"{number:03d}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def random_batch(labelled: int = 6, unlabelled: int = 0):
    """Returns images of 8 pixels of 5 classes, the same at every call."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (labelled + unlabelled, 3, 8, 8), dtype=np.uint8)
    return data.Batch(paddle.to_tensor(pixels), paddle.to_tensor(rng.integers(0, 5, labelled)), 0)


def random_logits(*shape: int):
    """Returns logits that a gradient reaches, the same at every call."""
    return paddle.to_tensor(
        np.random.default_rng(1).normal(0, 2, shape).astype("float32"), stop_gradient=False
    )


def labelled_logits(copies: int, batch: int, classes: int):
    """Returns logits `(copies, batch, classes)` that a gradient reaches, and labels `(batch,)`.

    They are the same at every call.
    """
    rng = np.random.default_rng(0)
    logits = paddle.to_tensor(
        rng.normal(0, 2, (copies, batch, classes)).astype("float32"), stop_gradient=False
    )
    return logits, paddle.to_tensor(rng.integers(0, classes, batch))


def import_timm():
    """Returns timm; the test is skipped where it or PyTorch is not installed."""
    pytest.importorskip("torch")
    with peer_timm.without_torchvision_operators():
        return pytest.importorskip("timm")


@pytest.fixture(autouse=True)
def _memory(request):
    """Gives back what a long test leaves: the memory of many models adds up to that of the machine.

    Some hold themselves in circles, and the C library keeps what is freed, as in a run.
    """
    yield
    if request.node.get_closest_marker("slow"):
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


@pytest.fixture
def set_threads(monkeypatch):
    """Chooses how many threads share the rows of arrays until the test ends."""

    def choose(count: int) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", str(count))
        threads._pool.cache_clear()

    yield choose
    threads._pool.cache_clear()


@pytest.fixture
def painted(tmp_path: Path) -> Path:
    """A root with `train` and `test`: 3 classes of 12 and 5 images."""
    paint(tmp_path / "painted" / "train", 3, 12)
    paint(tmp_path / "painted" / "test", 3, 5)
    return tmp_path / "painted"
