"""Files that a hostile author would write: each has a name, a file name, its bytes, and a message.

Each would run code, leave its folder, or take gigabytes of memory, if a reader trusted it. An empty
message: the file can be read, and takes no more memory than it should.
"""

from collections.abc import Callable, Iterator

from crafted_data import images, tars, zips
from crafted_pickles import pickles, torches
from crafted_run_files import texts
from crafted_weights import npzs, owns, tensors


def _named(
    file: str, made: Callable[[], Iterator[tuple[str, bytes, str]]]
) -> Callable[[], Iterator[tuple]]:
    return lambda: ((name, file, content, message) for name, content, message in made())


FILES: dict[str, Callable[[], Iterator[tuple[str, str, bytes, str]]]] = {
    "pickles": _named("w.pdparams", pickles),
    "torch": _named("zip.pth", torches),
    "npz": _named("w.npz", npzs),
    "safetensors": _named("w.safetensors", tensors),
    "metadata": _named("own.safetensors", owns),
    "tar": _named("cifar-100-python.tar.gz", tars),
    "zip": _named("tiny-imagenet-200.zip", zips),
    "images": images,
    "run": texts,
}
