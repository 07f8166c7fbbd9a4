"""How much memory this process may still take: of its GPU, the machine, or its control groups."""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError
from program import paddle_setup

_CGROUPS, _OF_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Of a control group: the file of its limit; that of its use, and the name of what of this can be
# taken back.
_LIMITS = {
    "memory.max": ("memory.current", "inactive_file"),
    "memory.limit_in_bytes": ("memory.usage_in_bytes", "total_inactive_file"),
}


def memory_figure(path: str, name: str) -> int | None:
    """Returns a figure in bytes from a file below /proc, such as `MemAvailable`; None if absent."""
    lines = Path(path).read_text(encoding="ascii").splitlines()
    figures = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(figures[name].split()[0]) * 1024 if name in figures else None


def available() -> float:
    """Returns how many bytes this process may take: of its GPU, or its share of the machine's."""
    import paddle  # here, so that the other figures can be had where it is missing

    if paddle.get_device() != "cpu":
        total = paddle.device.cuda.get_device_properties().total_memory
        return total - paddle.device.cuda.memory_allocated()
    free = of_machine()
    if free is None:
        raise UserError(
            "train.micro_batch=auto: /proc/meminfo does not say how much memory is free; leave it "
            "empty"
        )
    return free


def of_machine() -> float | None:
    """Returns how many bytes of the machine's memory this process may take; None if not known."""
    free = memory_figure("/proc/meminfo", "MemAvailable")
    if free is None:
        return None
    return min(free, _free_of_groups()) / paddle_setup.local_processes()


def _free_of_groups() -> float:
    """Returns what the control groups of this process, such as a container's, leave of their limit.

    Infinite where there is no limit.
    """
    free = map(_free_of_group, _groups())
    return min((size for size in free if size is not None), default=float("inf"))


def _groups() -> list[Path]:
    """Returns the folders of the groups that limit memory, and of all groups above them."""
    try:
        lines = _OF_GROUP.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        root = _CGROUPS if number == "0" else _CGROUPS / "memory"
        if number == "0" or "memory" in controllers.split(","):
            own = root / path.strip("/")
            found += [own, *(above for above in own.parents if above.is_relative_to(root))]
    return found


def _free_of_group(folder: Path) -> int | None:
    for name, (used, reclaimable) in _LIMITS.items():
        try:
            limit, taken, stat = (
                (folder / file).read_text(encoding="ascii") for file in (name, used, "memory.stat")
            )
            figures = dict(line.split() for line in stat.splitlines())
            return max(0, int(limit) - int(taken) + int(figures.get(reclaimable, 0)))
        except (OSError, ValueError):  # there is no such group, no limit, or it can't be read
            continue
    return None
