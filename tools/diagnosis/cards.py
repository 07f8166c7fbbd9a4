"""Checks of NVIDIA's driver, the cards, the wheel's CUDA, and of several cards together."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools.diagnosis.children import Answer
from tools.diagnosis.lines import BAD, FINE, LOOK, Line, size

_QUERY = "index,name,memory.total,memory.used,driver_version,pcie.link.gen.max"
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # vendor, and the class of display controllers, of PCI
_USUALLY_FREE = 0.9  # share of a card's memory
_SLOW_LINK, _SLOW_CARDS = 3e9, 1e9  # bytes/s: PCIe 3 x4 has 4e9, x16 has 16e9
# The CUDA that a card's compute capability needs, by NVIDIA's release notes.
_NEEDED = (
    ((12, 0), (12, 8)),
    ((10, 0), (12, 8)),
    ((9, 0), (11, 8)),
    ((8, 9), (11, 8)),
    ((8, 6), (11, 1)),
    ((8, 0), (11, 0)),
)
_BFLOAT16 = (8, 0)
_WHEELS = "https://www.paddlepaddle.org.cn/packages/stable/"


class Card(NamedTuple):
    """A card as nvidia-smi sees it; sizes are in bytes."""

    index: str
    name: str
    total: int
    used: int


class Driver(NamedTuple):
    """What nvidia-smi says.

    Attributes:
        version: of the driver.
        cuda: the newest CUDA that it knows; () where it does not say.
        cards: those of the machine, the hidden ones included.
        error: why nvidia-smi has failed; empty where it has not.
    """

    version: str = ""
    cuda: tuple[int, ...] = ()
    cards: tuple[Card, ...] = ()
    error: str = ""


def read_driver(seconds: float = 60.0) -> Driver | None:
    """Asks nvidia-smi; None where there is none."""

    def ask(*words: str) -> str:
        done = subprocess.run(
            ["nvidia-smi", *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
        )
        if done.returncode:
            raise OSError(" ".join((done.stdout + done.stderr).split())[:300])
        return done.stdout

    try:
        rows = [row.split(", ") for row in ask(f"--query-gpu={_QUERY}", *_plain()).splitlines()]
        found = re.search(r"CUDA(?: UMD)? Version:\s*(\d+)\.(\d+)", ask())
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        return Driver(error=str(error))
    cards = [Card(row[0], row[1], _bytes(row[2]), _bytes(row[3])) for row in rows if len(row) > 4]
    cuda = tuple(map(int, found.groups())) if found else ()
    return Driver(rows[0][4] if cards else "", cuda, tuple(cards))


def _plain() -> tuple[str, ...]:
    return ("--format=csv,noheader,nounits",)


def visible(driver: Driver, environ: Mapping[str, str] = os.environ) -> tuple[Card, ...]:
    """Returns the cards that a run would use: those that CUDA_VISIBLE_DEVICES does not hide."""
    chosen = [one.strip() for one in environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    own = tuple(card for card in driver.cards if card.index in chosen)
    return own or driver.cards  # the variable may also have the cards' long names


def _bytes(megabytes: str) -> int:
    """Returns a figure of nvidia-smi in bytes; 0 for `[N/A]`, as of unified memory."""
    return int(float(megabytes)) << 20 if re.fullmatch(r"[\d.]+", megabytes) else 0


def has_hardware(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Returns whether an NVIDIA card is in the machine, whatever the driver."""
    for device in devices.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except (OSError, UnicodeDecodeError):
            continue
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            return True
    return False


def device(
    driver: Driver | None,
    facts: Mapping[str, Any],
    hardware: Callable[[], bool] = has_hardware,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Line]:
    """Checks that Paddle computes on what the machine has.

    Args:
        driver: what nvidia-smi says; None where there is none.
        facts: of the probe of Paddle.
        hardware: returns whether there is a card without regard to the driver.
        environ: of this process.
    """
    if driver and driver.error:
        remedy = "mend the driver (after an update of it a restart is enough)"
        yield Line("driver", BAD, f"nvidia-smi fails: {driver.error}", remedy)
        return
    if driver is None and hardware():
        remedy = "install NVIDIA's driver; in a container start it with --gpus all"
        yield Line("driver", BAD, "an NVIDIA card is there, but no nvidia-smi", remedy)
    if "device" not in facts:
        return
    cuda = numbers_of(facts.get("cuda", ""))
    wheel = f"wheel for CUDA {facts['cuda']}" if cuda else "CPU wheel"
    if driver and driver.cards and not cuda:
        found = f"{facts['device']}: a CPU wheel on a machine with {_count(driver.cards)}"
        yield Line("device", BAD, found, "install the GPU wheel as requirements-gpu.txt says")
        return
    if not cuda:
        yield Line("device", FINE, f"{facts['device']}, {wheel}")
        return
    if not facts.get("cards"):
        hidden = environ.get("CUDA_VISIBLE_DEVICES")
        found = f"{facts['device']}: Paddle sees no card, {wheel}"
        why = f"CUDA_VISIBLE_DEVICES is {hidden!r}: unset it"
        remedy = (
            "install the CPU wheel, or NVIDIA's driver"
            if driver is None
            else ("see the line run_check")
        )
        yield Line("device", BAD, found, remedy if hidden is None else why)
        return
    yield Line("device", FINE, f"{facts['device']} of {len(facts['cards'])}, {wheel}")
    yield from _match(driver, cuda, facts["cards"])


def numbers_of(version: str) -> tuple[int, ...]:
    """Returns a version of CUDA, such as (11, 8); () for the `False` of a CPU wheel."""
    found = re.match(r"(\d+)\.(\d+)", str(version))
    return tuple(map(int, found.groups())) if found else ()


def _match(
    driver: Driver | None, cuda: tuple[int, ...], cards: Sequence[Mapping[str, Any]]
) -> Iterator[Line]:
    """Compares the wheel's CUDA with the driver's and with what the cards need."""
    own = _dotted(cuda)
    for card in cards:
        capability = tuple(card["capability"])
        needed = next((need for least, need in _NEEDED if capability >= least), ())
        if needed and cuda < needed:
            found = f"{card['name']} needs CUDA {_dotted(needed)}, the wheel has {own}"
            yield Line("CUDA", BAD, found, f"install a wheel for it from {_WHEELS}")
            return
    if driver is None or not driver.cuda:
        yield Line("CUDA", LOOK, f"wheel {own}; the driver does not say which CUDA it knows")
        return
    found = f"wheel {own}, driver {driver.version} up to {_dotted(driver.cuda)}"
    if cuda[0] > driver.cuda[0]:
        remedy = f"update the driver, or install a wheel for CUDA {driver.cuda[0]} from {_WHEELS}"
        yield Line("CUDA", BAD, found, remedy)
    elif cuda > driver.cuda:
        yield Line(
            "CUDA",
            LOOK,
            found,
            "it mostly works (minor versions are compatible); if "
            "run_check fails, update the driver",
        )
    else:
        yield Line("CUDA", FINE, found)


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _count(cards: Sequence[Any]) -> str:
    return f"{len(cards)} NVIDIA card" + ("s" if len(cards) > 1 else "")


def each(driver: Driver | None, facts: Mapping[str, Any]) -> Iterator[Line]:
    """Tells each card's name and memory, and whether other programs hold much of it."""
    seen = {str(number): card for number, card in enumerate(facts.get("cards") or [])}
    if driver is None or not driver.cards:
        for number, card in seen.items():
            yield Line(f"card {number}", FINE, f"{card['name']}, {size(card['memory'])}")
        if not seen:
            yield Line("cards", FINE, "none; runs compute on the CPU")
        return
    for card in driver.cards:
        free = card.total - card.used
        own = [one for one in seen.values() if one["name"] == card.name]
        bfloat16 = ""
        if own:
            able = tuple(own[0]["capability"]) >= _BFLOAT16
            bfloat16 = ", bfloat16" if able else ", no bfloat16 (train.amp=O1)"
        if not card.total:
            yield Line(f"card {card.index}", FINE, f"{card.name}, memory not told{bfloat16}")
            continue
        found = f"{card.name}, {size(card.total)}, {size(free)} free{bfloat16}"
        if free < _USUALLY_FREE * card.total:
            remedy = "other programs hold the rest: nvidia-smi lists them; end them, or choose "
            yield Line(f"card {card.index}", LOOK, found, f"{remedy}cards by --gpus")
        else:
            yield Line(f"card {card.index}", FINE, found)


def transfer(answer: Answer) -> Iterator[Line]:
    """Tells how fast bytes travel from the host to each card."""
    if not answer.facts.get("cards"):
        yield Line("host to card", FINE, "not measured: there is no card")
        return
    speeds = answer.facts.get("transfer")
    if not speeds:
        yield Line("host to card", LOOK, f"not measured: {answer.error or 'no figure'}")
        return
    found = ", ".join(f"{one / 1e9:.1f} GB/s" for one in speeds)
    if min(speeds) < _SLOW_LINK:
        remedy = "PCIe 3 x16 has about 12: see the slot and `nvidia-smi -q | grep -A3 Link`; "
        yield Line("host to card", LOOK, found, f"{remedy}batches may wait for it")
    else:
        yield Line("host to card", FINE, found)


def not_together(count: int) -> Iterator[Line]:
    """Says why several processes were not tried: there is one card, or Paddle can't be imported."""
    if count == 1:
        yield Line("NCCL between cards", FINE, "not tried: there is one card")
    else:
        yield Line("several processes", LOOK, "not tried, since Paddle can't be imported")


def together(answer: Answer, count: int) -> Iterator[Line]:
    """Tells whether several processes can add up a tensor, and how fast.

    Args:
        answer: of the probe that does it.
        count: of cards; 0: the processes are on a CPU.
    """
    name, facts = "NCCL between cards" if count else "gloo between processes", answer.facts
    if answer.error:
        remedy = answer.remedy or (
            "look at `nvidia-smi topo -m`; try NCCL_DEBUG=INFO, NCCL_P2P_DISABLE=1, and "
            "NCCL_SHM_DISABLE=1 or a larger /dev/shm"
            if count
            else "the name of this host must lead to it (/etc/hosts), or set GLOO_SOCKET_IFNAME=lo"
        )
        state = BAD if count else LOOK
        only = "" if count else "several processes would fail, one does not need it: "
        yield Line(name, state, f"{answer.stage}: {answer.error}", only + remedy)
        return
    speed = facts["bytes_per_second"]
    found = f"{facts['processes']} processes add up {size(facts['size'])} at {speed / 1e9:.1f} GB/s"
    if not facts["right"]:
        yield Line(
            name,
            BAD,
            f"{found}, with a wrong sum",
            "these cards can't train together; try NCCL_P2P_DISABLE=1, and turn off the IOMMU",
        )
    elif count and speed < _SLOW_CARDS:
        yield Line(
            name, LOOK, found, "slow: see `nvidia-smi topo -m`, and train.accumulation_steps"
        )
    else:
        yield Line(name, FINE, found)
