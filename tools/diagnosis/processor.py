"""Checks of the processor, of the memory, and of the variables that set threads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.plan import free_memory
from program.environment import processor_name
from tools.diagnosis.children import Answer
from tools.diagnosis.lines import FINE, LOOK, Line, size

_GROUPS = Path("/sys/fs/cgroup")
_OF_GROUP, _CPU_INFO = Path("/proc/self/cgroup"), Path("/proc/cpuinfo")
_LITTLE_MEMORY = 4 << 30  # bytes: the default run and its loader take about 2
# Instructions by their names in /proc/cpuinfo, and what people call them.
_INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "amx_bf16": "AMX",
}
_SHOWN = re.compile(r"OMP_|KMP_|MKL_|OPENBLAS_|NUMBA_|FLAGS_|CUDA_VISIBLE_DEVICES$|NCCL_|GLOO_")


def affinity() -> int:
    """Returns how many cores this process may run on."""
    own = getattr(os, "sched_getaffinity", None)
    return len(own(0)) if own else os.cpu_count() or 1


def quota(groups: Path = _GROUPS, of_group: Path = _OF_GROUP) -> float | None:
    """Returns how many cores the control groups of this process leave; None for no limit."""
    try:
        lines = of_group.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        roots = [groups] if number == "0" else [groups / "cpu", groups / "cpu,cpuacct"]
        for root in roots:
            own = root / path.strip("/")
            above = [one for one in own.parents if one.is_relative_to(root)]
            found += filter(None, map(_cores_of, (own, *above)))
    return min(found, default=None)


def _cores_of(folder: Path) -> float | None:
    """Returns the cores that one control group leaves; None for no limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            words = " ".join((folder / one).read_text(encoding="ascii") for one in names).split()
            share, period = (int(word) for word in words[:2])
        except (OSError, ValueError):  # there is no such file, or no limit
            continue
        if share > 0 and period > 0:
            return share / period
    return None


def cores(
    allowed: int, left: float | None, total: int, environ: Mapping[str, str] = os.environ
) -> Iterator[Line]:
    """Checks how many cores can really be used.

    Args:
        allowed: cores that this process may run on.
        left: what the control groups leave of their time; None for no limit.
        total: cores of the machine.
        environ: of this process.
    """
    found = f"{allowed} of {total}" if allowed < total else f"{allowed}"
    if left is not None and left < allowed:
        whole = max(1, round(left))
        found += f", of whose time a control group leaves {left:g}"
        if environ.get("OMP_NUM_THREADS", "") != str(whole):
            remedy = f"more threads would wait for each other: export OMP_NUM_THREADS={whole}"
            yield Line("cores", LOOK, found, remedy)
            return
    if min(allowed, left or allowed) < 2:
        yield Line("cores", LOOK, found, "training and reading images share one core")
    else:
        yield Line("cores", FINE, found)


def products(answer: Answer, info: Path = _CPU_INFO) -> Iterator[Line]:
    """Tells the processor, its instructions, and what computes matrix products on it.

    Args:
        answer: of the probe of Paddle.
        info: the file in which the system describes the processor.
    """
    try:
        text = info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    own = set(flags[1].split()) if flags else set()
    able = [name for flag, name in _INSTRUCTIONS.items() if flag in own]
    found = f"{processor_name(info) or 'not named'}, {', '.join(able) or 'no AVX2'}"
    facts = answer.facts
    if "operators" not in facts:
        if answer.stage == "operators":
            yield Line(
                "processor",
                LOOK,
                f"{found}; compiled operators: {answer.error}",
                "--config.model.operators=plain computes without them",
            )
        else:
            yield Line("processor", FINE, found)
    elif facts["operators"] == "compiled operators":
        half = "bfloat16 (train.amp=bf16)" if facts["bfloat16"] else "no bfloat16"
        found += f"; compiled operators, products by {facts['products']}, {half}"
        yield Line("processor", FINE, found)
    elif facts.get("cards"):
        yield Line("processor", FINE, f"{found}; {facts['operators']}")
    else:
        yield Line(
            "processor",
            LOOK,
            f"{found}; {facts['operators']}",
            "pip install -r requirements-base.txt, and unset NUMBA_DISABLE_JIT",
        )


def memory(free: float | None, total: int | None, available: int | None) -> Iterator[Line]:
    """Checks the memory that this process may take.

    Args:
        free: bytes that the machine and its control groups leave; None: not known.
        total: bytes of the machine.
        available: bytes that the machine alone leaves.
    """
    if free is None or total is None or available is None:
        yield Line("memory", LOOK, "the system does not say how much there is")
        return
    limited = ", limited by a control group" if free < available else ""
    found = f"{size(free)} free of {size(total)}{limited}"
    if free < _LITTLE_MEMORY:
        remedy = "end other programs, or give the container more; a smaller train.batch_size helps"
        yield Line("memory", LOOK, found, remedy)
    else:
        yield Line("memory", FINE, found)


def read_memory() -> tuple[float | None, int | None, int | None]:
    """Returns what `memory` is told, of this machine."""
    try:
        figures = [
            free_memory.memory_figure("/proc/meminfo", one) for one in ("MemTotal", "MemAvailable")
        ]
    except OSError:
        return None, None, None
    return free_memory.of_machine(), figures[0], figures[1]


def thread_variables(environ: Mapping[str, str], usable: int, is_amd: bool) -> Iterator[Line]:
    """Checks the variables that the libraries of Paddle and numba read.

    Args:
        environ: of this process.
        usable: number of cores.
        is_amd: whether the processor is one of AMD's.
    """
    own = {name: value for name, value in sorted(environ.items()) if _SHOWN.match(name)}
    found = " ".join(f"{name}={value}" for name, value in own.items()) or "none is set"
    wrong = []
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        first = own.get(name, "").split(",")[0].strip()
        if name in own and (not first.isdigit() or first == "0"):
            wrong.append(f"{name} is no number: unset it")
        elif first.isdigit() and int(first) > usable:
            wrong.append(f"{name} is more than the {usable} cores: unset it")
        elif first == "1" and usable > 1:
            wrong.append(f"{name}=1 leaves {usable - 1} of {usable} cores idle: unset it")
    if own.get("MKL_DEBUG_CPU_TYPE") and not is_amd:
        wrong.append("MKL_DEBUG_CPU_TYPE turns AVX-512 off on this processor: unset it")
    if own.get("NUMBA_DISABLE_JIT", "0") != "0":
        wrong.append("NUMBA_DISABLE_JIT turns the compiled operators off: unset it")
    yield Line("threads", LOOK if wrong else FINE, found, "; ".join(wrong))


def compiled_code(answer: Answer) -> Iterator[Line]:
    """Tells whether machine code of the compiled operators is kept for the next start."""
    facts: Mapping[str, Any] = answer.facts
    if facts.get("operators") != "compiled operators":
        return
    if not facts.get("cache_folder"):
        yield Line(
            "compiled code",
            LOOK,
            "no folder for it can be written: each start compiles",
            "set NUMBA_CACHE_DIR to a folder that can be written",
        )
    elif not facts.get("cache_files"):
        remedy = "the first run compiles for ten seconds; python -m tools.compile does it now"
        yield Line("compiled code", FINE, f"none yet in {facts['cache_folder']}", remedy)
    else:
        found = f"{facts['cache_files']} files in {facts['cache_folder']}"
        yield Line("compiled code", FINE, found)
