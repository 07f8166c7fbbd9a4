"""How much memory this process may still take: of its GPU, of the machine, or of its control
groups.
"""

from __future__ import annotations

from pathlib import Path

import paddle

from common.errors import UserError
from program import paddle_setup

_CGROUPS = Path("/sys/fs/cgroup")
_OF_GROUP = Path("/proc/self/cgroup")
# of a control group: the file of its limit, of what is used, and what of this can be taken back
_LIMITS = {
    "memory.max": ("memory.current", "inactive_file"),
    "memory.limit_in_bytes": ("memory.usage_in_bytes", "total_inactive_file"),
}


def memory_figure(path: str, name: str) -> int | None:
    """Bytes of memory that a file of the system below /proc gives under a name; None where it does
    not.
    """
    for line in Path(path).read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


def available() -> float:
    """Bytes of memory that this process may have: of its GPU, or its share of what is free on the
    machine.
    """
    if paddle.get_device() != "cpu":
        total = paddle.device.cuda.get_device_properties().total_memory
        return total - paddle.device.cuda.memory_allocated()
    return min(_free_of_machine(), _free_of_groups()) / paddle_setup.local_processes()


def _free_of_machine() -> float:
    free = memory_figure("/proc/meminfo", "MemAvailable")
    if free is None:
        raise UserError(
            "train.micro_batch=auto: /proc/meminfo does not say how much memory is free; leave it empty"
        )
    return free


def _free_of_groups() -> float:
    """What the limits of the control groups of this process leave, such as a container's; infinite
    for none.
    """
    return min(
        (free for folder in _groups() if (free := _free_of_group(folder)) is not None),
        default=float("inf"),
    )


def _groups() -> list[Path]:
    """The folders of the groups with a part in memory, with all above them."""
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
            limit, taken = (
                (folder / name).read_text(encoding="ascii"),
                int((folder / used).read_text(encoding="ascii")),
            )
            rows = (
                line.split()
                for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            )
            back = {row[0]: int(row[1]) for row in rows}.get(reclaimable, 0)
        except (OSError, ValueError):  # there is no such group, or it is not to be read
            continue
        if limit.strip().isdigit():
            return max(0, int(limit) - taken + back)
    return None
