"""Runs a probe in another process, so that a crash or a hang there is an answer, too."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools.diagnosis.system import LAUNCHER_VARIABLES

ROOT = Path(__file__).resolve().parent.parent.parent
_PROBES = "tools.diagnosis.probes"
_GRACE_SECONDS = 5.0
_LONGEST = 300  # characters of what a child has said
# What the last words of a child mean, and what to do.
_REMEDIES = {
    r"SIGILL": "the processor lacks instructions of this Paddle: take another machine",
    r"libcudnn": "install the cuDNN that the wheel needs, and put it on LD_LIBRARY_PATH",
    r"libcublas|libcudart|libnccl": "install the CUDA libraries of the wheel, and put them on "
    "LD_LIBRARY_PATH",
    r"GLIBC|CXXABI": "the system is too old for this wheel: take a newer one, or an image of "
    "Paddle's",
    r"libgomp|libGL|libgl": "install it with the system's package manager",
    r"numpy.*(?:1\.x|compiled using|_ARRAY_API)|_ARRAY_API": "pip install 'numpy<2'",
    r"out of memory|Out of memory|ResourceExhausted": "other programs hold the card's memory: "
    "nvidia-smi lists them",
    r"no kernel image": "the wheel was not built for this card: take one for a newer CUDA",
    r"SIGKILL": "the system has ended it, most likely for want of memory",
}


class Answer(NamedTuple):
    """What a probe has found.

    Attributes:
        facts: those that it had told before its end.
        error: why it did not reach its end; empty where it did.
        stage: what it was doing at its end.
    """

    facts: dict[str, Any]
    error: str = ""
    stage: str = ""

    @property
    def remedy(self) -> str:
        """What to do about the error; empty where that is not known."""
        return next((what for words, what in _REMEDIES.items() if re.search(words, self.error)), "")


def ask(
    probe: str, words: Sequence[str] = (), patience: float = 0.0, launcher: Sequence[str] = ()
) -> Answer:
    """Runs a probe, and returns what it tells.

    Args:
        probe: the name of a module in `probes/`.
        words: its command line, behind the path of the file for its answer.
        patience: seconds that it may take; 0: no limit.
        launcher: the words for Python that start the probe's file in several processes; empty: it
            runs as a module in one.
    """
    file = ROOT / "tools" / "diagnosis" / "probes" / f"{probe}.py"
    start = [*launcher, str(file)] if launcher else ["-m", f"{_PROBES}.{probe}"]
    return answer_of([sys.executable, *start], words, patience)


def answer_of(program: Sequence[str], words: Sequence[str], patience: float) -> Answer:
    """Runs a program that tells facts as a probe does; see `ask`."""
    with tempfile.TemporaryDirectory(prefix="doctor_") as folder:
        told, said = Path(folder) / "told.json", Path(folder) / "said.txt"
        with open(said, "wb") as output:
            process = subprocess.Popen(
                [*program, str(told), *words],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            code = _wait(process, patience)
        facts = _read(told)
        stage = facts.pop("stage", "starting")
        if code is None:
            return Answer(facts, f"no end after {patience:g} seconds (--patience)", stage)
        if code == 0 and stage == "done":
            return Answer(facts)
        return Answer(facts, _reason(code, said.read_bytes().decode("utf-8", "replace")), stage)


def _environment() -> dict[str, str]:
    """Returns the environment without what a launcher has left, and with the project's folder."""
    kept = {name: value for name, value in os.environ.items() if name not in LAUNCHER_VARIABLES}
    paths = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}


def _wait(process: subprocess.Popen[bytes], patience: float) -> int | None:
    """Returns the exit code of a process; None where it took too long, and was ended."""
    try:
        return process.wait(patience or None)
    except subprocess.TimeoutExpired:
        return None
    finally:  # also of an interrupt; a launcher leaves its processes behind
        for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            if process.poll() is not None:
                continue
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(code: int, said: str) -> str:
    """Returns in one line why a process has failed: its signal, or the last error that it named."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(?:Error|Exception|Exit)\b", line)]
    last = (named or lines or [""])[-1][:_LONGEST]
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return f"ended by {name}" + (f" ({last})" if last else "")
    return last or f"exit code {code}"
