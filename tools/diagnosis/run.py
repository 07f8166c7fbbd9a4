"""Checks whether the run of a config will work on this machine: data, weights, memory, disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.reading import nearest_existing
from engine.plan.memory_rules import PIECES, Estimate, largest_part
from tools.diagnosis import cards, network
from tools.diagnosis.cards import Driver
from tools.diagnosis.children import Answer
from tools.diagnosis.lines import BAD, FINE, LOOK, Line, size


def lines(
    answer: Answer,
    driver: Driver | None,
    reach: Callable[[str], network.Reach] | None,
    shared: Callable[[Any], Any] = shutil.disk_usage,
    cache: Path | None = None,
) -> Iterator[Line]:
    """Yields the lines about the run of a config.

    Args:
        answer: of the probe that plans it.
        driver: what nvidia-smi says.
        reach: asks the server of weights; None: the network is left out.
        shared: returns what `shutil.disk_usage` does, of /dev/shm.
        cache: the folder in which downloads are kept; None: the usual one.
    """
    if answer.error:
        remedy = answer.remedy or "the same command with main.py --dry_run says more"
        yield Line("run", BAD, f"{answer.stage}: {answer.error}", remedy)
        return
    cache = cache or Path.home() / ".cache"
    for stage, facts in answer.facts["stages"].items():
        in_stage = f" of stage {stage}" if stage else ""
        yield from _data(f"data{in_stage}", facts)
        for one in facts["weights"]:
            yield _weights(one, reach, cache)
        if "error" in facts:
            remedy = "main.py --dry_run with the same flags says the same"
            yield Line(f"run{in_stage}", BAD, facts["error"], remedy)
            continue
        yield from _memory(f"memory{in_stage}", facts, driver)
        yield from _shared(f"workers{in_stage}", facts, shared)


def disk(answer: Answer) -> int:
    """Returns the bytes of all stages on the disk; 0 where they are not known."""
    stages = answer.facts.get("stages", {}).values()
    return sum(facts.get("disk", 0) for facts in stages)


def _data(name: str, facts: Mapping[str, Any]) -> Iterator[Line]:
    data = facts["data"]
    if data.get("downloads"):
        yield Line(
            name,
            LOOK,
            "not here: the run downloads it",
            "or get the archive by hand, and set --config.data.root to it",
        )
    elif "error" in data:
        yield Line(name, BAD, data["error"])
    else:
        found = f"{data['train']:,} training and {data['test']:,} test images"
        yield Line(name, FINE, f"{found}, {data['classes']:,} classes")


def _weights(
    facts: Mapping[str, str], reach: Callable[[str], network.Reach] | None, cache: Path
) -> Line:
    source, url = network.public_source(facts["source"]), facts["address"]
    if facts["error"]:
        return Line(f"weights {source}", BAD, facts["error"])
    if not url:
        return Line(f"weights {source}", FINE, "here")
    if reach is None:
        return Line(f"weights {source}", LOOK, "not here", "--offline: not looked for")
    room = shutil.disk_usage(nearest_existing(cache)).free
    return network.weights(source, url, reach(url), room)


def _memory(name: str, facts: Mapping[str, Any], driver: Driver | None) -> Iterator[Line]:
    room, unit = _room(facts, driver)
    pieces, constant = PIECES if facts["on_cpu"] else 1.0, facts["constant"]
    needed = constant + pieces * (facts["needed"] - constant)
    found = (
        f"{facts['model']}, {facts['batch']} images a step and {unit}: {size(needed)} (estimate)"
    )
    if room is None:
        yield Line(name, LOOK, f"{found}; how much is free is not known")
        return
    found += f" of {size(room)} free"
    most = Estimate(round(pieces * facts["image"]), constant).fits(room)
    extra = round((facts["needed"] - constant) / max(facts["image"], 1)) - facts["batch"]
    if most < 1 + extra:
        yield Line(
            name,
            BAD,
            f"{found}; not one image fits",
            "set train.recompute=true, or a smaller model or image size",
        )
    elif most >= facts["batch"] + extra:
        yield Line(name, FINE, found)
    elif facts["splits"]:
        yield Line(name, FINE, f"{found}; train.micro_batch=auto splits it")
    else:
        part = largest_part(facts["batch"], most - extra)
        count = facts["batch"] // part * facts["accumulation"]
        state = BAD if needed > room else LOOK
        yield Line(
            name,
            state,
            f"{found}; 10 % and 1 GB are to stay free",
            f"set train.batch_size={part} and train.accumulation_steps={count} (the same "
            "batch), or train.recompute=true",
        )


def _room(facts: Mapping[str, Any], driver: Driver | None) -> tuple[float | None, str]:
    """Returns the bytes that are free for a process, and what it computes on."""
    if facts["on_cpu"]:
        return facts["room"], "process"
    own = cards.visible(driver) if driver else ()
    free = [card.total - card.used for card in own if card.total]
    return min(free, default=None), "card"


def _shared(name: str, facts: Mapping[str, Any], usage: Callable[[Any], Any]) -> Iterator[Line]:
    """Checks that what the workers prepare fits into shared memory."""
    if not facts["workers"]:
        return
    found = f"{facts['workers']} for each card prepare up to {size(facts['shared'])}"
    try:
        free = usage("/dev/shm")[2]
    except OSError:
        free = 0
    if free < facts["shared"]:
        yield Line(
            name,
            LOOK,
            f"{found}, /dev/shm has {size(free)} free",
            "start the container with --shm-size=8g; else batches go through pipes",
        )
    else:
        yield Line(name, FINE, f"{found} in /dev/shm")
