"""What is run for a figure: cards, batch, fields of the config, and what that changes.

The published batch of an optimiser step is kept: with fewer cards each takes more micro-batches.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import UserError
from program import command_line
from tools.reproduction.published import costs
from tools.reproduction.published.kinds import Figure
from tools.reproduction.work import tiny

FULL, TINY = "full", "tiny"
_TINY_PROCESSES = 2


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes:
        gpus: number of cards; None: as published, or as many as there are; 0: the CPU.
        seeds: how many, from 0 on.
        batch: most images of a card in one forward pass; 0: as the config has it.
        scale: `FULL` or `TINY`.
        given: fields with their texts, as `--set` has them.
    """

    gpus: int | None = None
    seeds: int = 1
    batch: int = 0
    scale: str = FULL
    given: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SetUp:
    """A run of a figure on this machine.

    Attributes:
        figure: what is reproduced.
        options: of the command line.
        cards: their numbers; (): the CPU.
        processes: how many train together.
        global_batch: images of an optimiser step.
        fields: of the config, by name, for the command line of `main.py`.
        notes: what differs from the published set-up because of the above.
    """

    figure: Figure
    options: Options
    cards: tuple[str, ...]
    processes: int
    global_batch: int
    fields: dict[str, object]
    notes: tuple[str, ...]

    def words(self, **more: object) -> list[str]:
        """Returns the words of a command line: config, row, and fields.

        Args:
            more: other fields, with `__` for the point.
        """
        fields = {**self.fields, **{name.replace("__", "."): one for name, one in more.items()}}
        row = [f"--row={self.figure.row}"] if self.figure.row else []
        values = [f"--config.{name}={value}" for name, value in fields.items()]
        return [f"--config=configs/{self.figure.config}.py", *row, *values]

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the programs; on the CPU no GPU is visible.

        CUDA takes `all` for a number that no card has. An empty value would do the same, but
        Paddle's launcher fails on it.
        """
        return {} if self.cards else {"CUDA_VISIBLE_DEVICES": "all"}

    def launcher(self, logs: Path) -> list[str]:
        """Returns the words that start the processes: `-m paddle.distributed.launch ...`."""
        where = ["--gpus", ",".join(self.cards)] if self.cards else []
        count = [] if self.cards else ["--nproc_per_node", str(self.processes)]
        return ["-m", "paddle.distributed.launch", *where, *count, "--log_dir", str(logs)]


def visible_cards() -> tuple[str, ...]:
    """Returns the numbers of the GPUs that a process sees."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None and named != "all":
        return tuple(one for one in named.split(",") if one.strip() not in ("", "-1"))
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return tuple(sorted((one[1] for one in found if one), key=int))


def make(figure: Figure, options: Options) -> SetUp:
    """Chooses cards and batch for a figure.

    Raises:
        UserError: when the cards are not there, the batch can't be divided over them, or a field
            of `--set` is none.
    """
    small = options.scale == TINY
    batch = tiny.GLOBAL_BATCH if small else costs.global_batch(figure)
    cards, processes = _devices(figure, options, batch)
    config = next(iter(costs.stages(figure).values()))
    own = tiny.BATCH if small else int(config.train.batch_size)
    most = options.batch or own
    part = max(
        size for size in range(1, batch // processes + 1) if _fits(size, batch, processes, most)
    )
    fields: dict[str, object] = dict(figure.fields)
    fields.update(tiny.fields(figure) if small else {})
    fields["train.batch_size"] = part
    fields["train.accumulation_steps"] = batch // (part * processes)
    for name, text in options.given.items():
        command_line.check_override(config, name, text)
    fields.update(options.given)
    notes = _notes(figure, options, len(cards), batch, part, own)
    return SetUp(figure, options, cards, processes, batch, fields, tuple(notes))


def _fits(size: int, batch: int, processes: int, most: int) -> bool:
    return size <= most and batch % (size * processes) == 0


def _devices(figure: Figure, options: Options, batch: int) -> tuple[tuple[str, ...], int]:
    """Returns the numbers of the cards, () for the CPU, and the number of processes."""
    visible, small = visible_cards(), options.scale == TINY
    wanted = _TINY_PROCESSES if small else figure.cards
    if options.gpus is None:
        count = _usable(min(len(visible), max(wanted, 1)), batch)
        if not visible and figure.cards and not small:
            raise UserError(
                f"{figure.name} is for {figure.cards} GPU, and none is visible; --gpus 0 trains on "
                "the CPU (see the hours of --list), --scale tiny rehearses it here"
            )
    else:
        count = options.gpus
    if count > len(visible):
        raise UserError(
            f"--gpus {count}: {len(visible)} GPU are visible; give fewer: the images of a step "
            f"stay {batch:,} by accumulation"
        )
    if count == 0:
        return (), wanted if small else 1
    if _usable(count, batch) != count:
        fitting = [str(one) for one in range(1, len(visible) + 1) if batch % one == 0]
        raise UserError(
            f"--gpus {count}: {batch:,} images of a step can't be divided over {count} cards; give "
            f"{', '.join(fitting)}"
        )
    return visible[:count], count


def _usable(count: int, batch: int) -> int:
    """Returns the largest number of cards, at most `count`, that divides a batch."""
    return max((one for one in range(1, count + 1) if batch % one == 0), default=0)


def _notes(
    figure: Figure, options: Options, cards: int, batch: int, part: int, own: int
) -> list[str]:
    """Returns what differs from the published set-up by the choices of the command line."""
    if options.scale == TINY:
        return [
            "this is a rehearsal: a nano model, a few steps, and made-up data where none is given; "
            "its accuracy says nothing about the figure"
        ]
    notes = []
    if cards != figure.cards:
        here = f"{cards} GPU" if cards else "the CPU"
        then = f"{figure.cards} GPU" if figure.cards else "a CPU"
        notes.append(
            f"the config is written for {then}, this run is on {here}: {batch:,} images a step and "
            f"the rate stay, {part} images at a time, "
            f"{batch // (part * max(1, cards))} micro-batches for each card"
        )
    config = next(iter(costs.stages(figure).values()))
    if part != own:
        affected = {
            "mixup and CutMix draw one mix for a micro-batch": config.data.mixup_alpha
            or config.data.cutmix_alpha,
            "batch norms take their statistics from a micro-batch": "resnet" in config.model.name,
        }
        why = [text for text, applies in affected.items() if applies] or [
            "nothing else depends on it"
        ]
        notes.append(f"micro-batch of {part} images, the config has {own}: {'; '.join(why)}")
    notes += [f"--set {name}={text}: your own" for name, text in options.given.items()]
    return notes
