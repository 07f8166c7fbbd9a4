"""Files of a run that a hostile author would write.

The function yields a name, the name of the file, its bytes, and what is said of it.
"""

import json
from collections.abc import Iterator

from crafted_pieces import MB, safetensors

_FILES = ("config.json", "result.json", "stages.json", "pretrained.json", "manifest.json")
_PATHS = ("../../../../etc/passwd", "/etc/passwd", "/dev/zero", "a" * 5000, "progress.json/../x")
_RESULTS = (b"[]", b"{}", b'{"top1": "x"}', b"3")
_PROGRESS = (b'{"step": 3}', b'{"step": 2, "best_step": "x"}', b'{"step": 2, "seconds": NaN}')
_METRICS = (b"[]\n", b'{"step": "x"}\n', b'{"step": 1, "split": "a%b\\u001b"}', b"1" * 9999)


def texts() -> Iterator[tuple[str, str, bytes, str]]:
    """Files of a run's folder and of its checkpoints."""
    for file in _FILES:
        yield "deep", file, b"[" * 500_000, "not readable"
        yield "2 MB", file, b'"' + b"a" * (2 * MB) + b'"', "too many"
        digits = b"[" + b"1" * 100_000 + b"]"
        yield "many digits", file, digits, "not readable|is not|not a whole|^$"
        yield "no text", file, b"\xff\xff", "not readable"
    for content in _RESULTS:
        yield f"{content}", "result.json", content, "is not the result of a run"
    for name in _PATHS:
        manifest = json.dumps({name: "0" * 64}).encode()
        yield f"a file {name[:30]}", "manifest.json", manifest, "does not name its files"
    needed = {key: [[1]] for key in ["model.safetensors", "optimizer.safetensors", "progress.json"]}
    manifest = json.dumps(needed).encode()
    yield "sums that are none", "manifest.json", manifest, "differs from its checksum"
    for content in (b"[]", b"{}", *_PROGRESS):
        yield f"{content}", "progress.json", content, "not a whole checkpoint"
    yield "20 MB", "progress.json", b" " * (20 * MB), "too many"
    weights = safetensors(b"{}", length=1 << 60)
    yield "a header of exabytes", "model.safetensors", weights, "not a readable"
    yield "65 MB", "metrics.jsonl", b"\n" * (65 * MB), "too many"
    for content in (b"[" * 500_000, *_METRICS):
        yield f"{content[:30]}", "metrics.jsonl", content, ""
