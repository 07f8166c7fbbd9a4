"""Runs a function in a process of its own, whose memory is limited and measured."""

import json
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_ROOM = 4 << 30  # bytes of addresses in addition to those that the tests have already


class Outcome(NamedTuple):
    """How a function ended.

    Attributes:
        kind: `returned`, the name of its exception, or `died`.
        text: the result or the message.
        megabytes: by which memory grew.
    """

    kind: str
    text: str
    megabytes: int


def in_a_cage(function: Callable[[], object]) -> Outcome:
    """Runs a function in a process of its own, whose address space is limited."""
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
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status("VmRSS")
    limit = (_status("VmSize") << 10) + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        kind, text = "returned", str(function())
    except BaseException as error:
        kind, text = type(error).__name__, str(error)
    return kind, text, (_status("VmHWM") - before) >> 10


def _status(name: str) -> int:
    """Returns a figure of this process's memory, in KiB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text()).group(1))
