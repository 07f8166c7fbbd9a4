"""Measures what one core decodes and transforms of JPEGs of ImageNet's usual size.

The photographs are images of Tiny ImageNet (or made-up ones), enlarged, with grain that makes the
files as large as ImageNet's (110 kB on average), and encoded again. Decoders
take turns, in training and in evaluation with the project's transforms behind them. simplejpeg and
PyTurboJPEG (which needs libturbojpeg) are not requirements of this project: they take part where
they are installed. A worker process has one core, so a loader of 16 workers reads 16 times as much
as long as it has 16 cores.
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.augment.transforms import EvalTransform, TrainTransform
from data.images.image_files import decode
from tools.measure import data_loading, interleaved, timed_steps

Decoder = Callable[[bytes], NDArray[np.uint8]]  # of a file's bytes; returns `(H, W, 3)`

_SIDES, _QUALITY = (500, 375), 95  # pixels of the most usual photograph in ImageNet; of 100
_GRAIN = 12  # standard deviation in levels
_PILLOW = "Pillow, as data/images has it"


def measure(arguments: argparse.Namespace) -> dict:
    """Measures the decoders alone, then with the transforms of training and of evaluation.

    Raises:
        UserError: for a data root that can't be read.
    """
    config = timed_steps.config_of(arguments)
    count = 4 * arguments.batch
    small = data_loading.small_images(config, arguments.data_root, count).images
    photographs = [_enlarged(small[number]) for number in range(min(count, len(small)))]
    kilobytes = np.mean([len(content) for content in photographs]) / 1000
    print(f"JPEGs of {_SIDES[0]} x {_SIDES[1]} pixels, {kilobytes:.0f} kB each on average")
    size, options = config.model.image_size, config.data
    transforms = {
        "decoding alone": lambda image, rng: image,
        f"training, to {size} px": TrainTransform(options, size, config.model.mean),
        f"evaluation, to {size} px": EvalTransform(size, options.eval_crop, options.interpolation),
    }
    found, decoders = [], _decoders()
    expected = decoders[_PILLOW](photographs[0]).astype(int)
    for name, decoder in decoders.items():
        pixels = decoder(photographs[0])
        if pixels.shape == expected.shape:
            print(f"{name}: {np.abs(pixels - expected).max()} levels from Pillow at most")
    for what, transform in transforms.items():
        print(f"{what}:", flush=True)
        steps = {
            name: _timed(decoder, transform, photographs, arguments.batch)
            for name, decoder in decoders.items()
        }
        rows = interleaved.table(interleaved.measure(steps, arguments.rounds), arguments.batch)
        found += [{"group": what, **row} for row in rows]
    speed, seconds = found[0]["images_per_second"], found[0]["seconds"]
    return {"images_per_second": speed, "seconds": seconds, "kilobytes": kilobytes, "rows": found}


def _enlarged(image: NDArray[np.uint8]) -> bytes:
    """Returns an image `(H, W, 3)` as a grainy JPEG of ImageNet's size, colours subsampled."""
    written = io.BytesIO()
    large = np.asarray(Image.fromarray(image).resize(_SIDES, Image.Resampling.BICUBIC))
    grain = np.random.default_rng(0).normal(0, _GRAIN, large.shape)
    grainy = (large + grain).clip(0, 255).astype(np.uint8)
    Image.fromarray(grainy).save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _decoders() -> dict[str, Decoder]:
    """Returns those that are installed, by their names."""
    found: dict[str, Decoder] = {
        _PILLOW: lambda content: decode(content, "photograph.jpg"),
        "Pillow, draft at half the size": _half,
    }
    try:
        import simplejpeg

        found["simplejpeg"] = simplejpeg.decode_jpeg
    except ImportError:
        pass
    try:
        import turbojpeg

        reader = turbojpeg.TurboJPEG()
        found["PyTurboJPEG"] = lambda content: reader.decode(content, turbojpeg.TJPF_RGB)
    except (ImportError, RuntimeError):  # of the module, of libturbojpeg
        pass
    return found


def _half(content: bytes) -> NDArray[np.uint8]:
    """Decodes a JPEG at half its size, from fewer of its coefficients."""
    image = Image.open(io.BytesIO(content))
    image.draft("RGB", (image.width // 2, image.height // 2))
    return np.asarray(image)


def _timed(
    decoder: Decoder, transform: Callable, photographs: list[bytes], batch: int
) -> interleaved.Step:
    """Returns a step that decodes and transforms the next photographs, the same for all."""
    numbers = itertools.count()

    def step() -> float:
        chosen = list(itertools.islice(numbers, batch))
        started = time.perf_counter()
        for number in chosen:
            content = photographs[number % len(photographs)]
            transform(decoder(content), np.random.default_rng(number))
        return time.perf_counter() - started

    return step
