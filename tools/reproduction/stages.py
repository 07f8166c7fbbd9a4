"""The stages of a reproduction, from the doctor to the verdict; each is done once.

`reproduction.json` in the folder notes what is done. The same command goes on after any stop: a
training goes on from its last checkpoint, a download from its last byte.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import read_json, user_path
from program import exits, run_folder
from tools.reproduction import page, starting_weights, verdict
from tools.reproduction.published import costs
from tools.reproduction.published.datasets import DATA_SETS
from tools.reproduction.set_up import TINY, SetUp
from tools.reproduction.work import children, fetching, tiny
from tools.reproduction.work.state import State

_ROOT = Path(__file__).resolve().parents[2]
_CACHE = Path(".cache") / "rdrop"  # below the home folder: decoded images, weights
VERDICT = "verdict.json"
_SAME_IMAGES = 2  # by which the accuracy of two evaluations of the same weights may differ


@dataclass(frozen=True)
class Paths:
    """Where a reproduction reads and writes.

    Attributes:
        workdir: folder of the reproduction.
        data: root of the data that the user names; empty: it is found, downloaded or made up.
        weights: file that the user names; empty: the published one.
        doctor: whether `tools.doctor` is asked first.
    """

    workdir: Path
    data: str = ""
    weights: str = ""
    doctor: bool = True


class Reproduction:
    """A reproduction of a figure in a folder."""

    def __init__(self, set_up: SetUp, paths: Paths):
        self.set_up, self.paths = set_up, paths
        self.figure, self.data = set_up.figure, DATA_SETS[set_up.figure.data]
        self.small = set_up.options.scale == TINY
        paths.workdir.mkdir(parents=True, exist_ok=True)
        self.state = State(
            paths.workdir,
            {
                "figure": self.figure.name,
                "scale": set_up.options.scale,
                "images of a step": set_up.global_batch,
                "fields that are set": dict(set_up.options.given),
            },
        )

    def run(self) -> int:
        """Does what is not done yet; returns the exit code."""
        self.state.wait_for_the_last()
        self._doctor()
        print(*self._versions(), flush=True)
        self.state.run("room on the disk", self._space)
        if self.small:
            self.state.run("made-up data and weights", self._make_up)
        root = self.state.run("data", self._data)["root"]
        weights = self.state.run("weights", lambda: self._weights(root))["fields"]
        fields = {"data.root": root, **weights}
        self.state.run("dry run", lambda: self._dry_run(fields))
        seeds = range(self.set_up.options.seeds)
        found = [self._seed(seed, fields) for seed in seeds]
        last = f"s 0 to {len(seeds) - 1}" if len(seeds) > 1 else " 0"
        self.state.run(f"report, seed{last}", lambda: self._report(seeds))
        return self._judge(found)

    def _child(self, words: Sequence[str], doing: str, log: Path | None = None) -> int:
        return children.run(words, doing, self.state.begun, log, self.set_up.environment)

    def _doctor(self) -> None:
        """Asks the doctor about this machine, where there is one; another machine is another."""
        if self.paths.doctor and (_ROOT / "tools" / "doctor.py").is_file():
            self.state.run(f"doctor on {socket.gethostname()}", self._ask_doctor)

    def _ask_doctor(self) -> dict[str, Any]:
        words = ["-m", "tools.doctor", f"--workdir={self.paths.workdir}"]
        words += [f"--data={self.paths.data}"] if self.paths.data else []
        words += ["--offline"] if self.small else []
        if self._child(words, "the doctor") != exits.DONE:
            raise UserError(
                "the doctor has found what keeps the run from working (see its lines that begin "
                "with bad); mend it, or go on with --no_doctor"
            )
        return {}

    def _space(self) -> dict[str, Any]:
        """Compares what everything will take with what the disks have."""
        cache = Path.home() / _CACHE
        kept = 0 if self.small else costs.cost(self.figure).kept
        seeds = self.set_up.options.seeds
        needs = [
            fetching.Need("checkpoints and weights of all seeds", kept * seeds, self.paths.workdir)
        ]
        if not self.small:
            needs += fetching.needs_of(self.data, bool(self.paths.data), cache)
            needs.append(fetching.Need("weights to begin with", self._weights_bytes(), cache))
        lines = fetching.check_space(need for need in needs if need.bytes)
        for line in lines:
            print(line, flush=True)
        return {"needs": lines}

    def _weights_bytes(self) -> int:
        """Returns the size of the weights that a run begins with, its teacher's included."""
        if self.paths.weights:
            return 0
        config = next(iter(costs.stages(self.figure).values()))
        sources = filter(None, (config.model.pretrained, config.distill.weights))
        return sum(4 * starting_weights.values_of(source) for source in sources)

    def _make_up(self) -> dict[str, Any]:
        if self.figure.data == "digits":
            return {}
        words = ["-m", "tools.reproduction.work.made_up", str(tiny.folder(self.paths.workdir))]
        words += ["--data", self.figure.data, *(["--no_images"] if self.paths.data else [])]
        needed = tiny.needs_weights(self.figure) and not self.paths.weights
        words += ["--model", tiny.weights_model(self.figure)] if needed else []
        self._child(words, "making data and weights up")
        return {}

    def _data(self) -> dict[str, Any]:
        """Finds, downloads or takes the data, and checks that it is whole."""
        root = self._root()
        names = ("classes", "train_images", "test_images")[: 1 if self.small else 3]
        wanted = [f"--{name}={getattr(self.data, name)}" for name in names]
        found = self._prepare("data", {"data.root": root}, wanted)
        return {"root": root, **found}

    def _root(self) -> str:
        if self.paths.data:
            return str(user_path(self.paths.data).absolute())
        if self.figure.data == "digits":
            return ""
        if self.small:
            return str(tiny.folder(self.paths.workdir).absolute() / tiny.DATA)
        if self.data.registration:
            names = " and ".join(file.name for file in self.data.files)
            raise UserError(
                f"{self.data.title} is not downloaded without registration: get {names} from "
                "https://image-net.org, and name their folder by --data"
            )
        return str(fetching.get(self.data.files[0]))

    def _weights(self, root: str) -> dict[str, Any]:
        """Gets the weights that the run begins with, and compares their checksum."""
        fields: dict[str, object] = {}
        named = self.paths.weights
        if self.small and not named and tiny.needs_weights(self.figure):
            named = str(tiny.folder(self.paths.workdir).absolute() / tiny.WEIGHTS)
        if named:
            fields[tiny.needs_weights(self.figure) or "model.pretrained"] = named
        published = [] if self.figure.data == "digits" else [f"--published={self.figure.config}"]
        found = self._prepare("weights", {"data.root": root, **fields}, published)
        return {"fields": fields, "files": found}

    def _prepare(
        self, part: str, fields: dict[str, object], flags: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Runs the program that prepares a part; returns what it has found."""
        output = self.paths.workdir / f"{part}.json"
        words = ["-m", "tools.reproduction.work.preparing", f"--part={part}", f"--json={output}"]
        self._child([*words, *flags, *self._words(fields)], f"preparing the {part}")
        return dict(read_json(output))

    def _words(self, fields: dict[str, object]) -> list[str]:
        return self.set_up.words(**{name.replace(".", "__"): one for name, one in fields.items()})

    def _dry_run(self, fields: dict[str, object]) -> dict[str, Any]:
        """Takes a step at full size in one process, which accumulates for the others, too."""
        train = "train.accumulation_steps"
        whole = {train: int(str(self.set_up.fields[train])) * self.set_up.processes}
        words = self._words({**fields, **whole})
        self._child(["main.py", "--dry_run", *words], "the dry run")
        return {}

    def folder(self, seed: int) -> Path:
        """Returns the folder of a seed's run."""
        return self.paths.workdir / f"seed_{seed}"

    def _seed(self, seed: int, fields: dict[str, object]) -> dict[str, Any]:
        """Trains and evaluates a seed; returns what the evaluation has found."""
        self.state.run(f"training, seed {seed}", lambda: self._train(seed, fields))
        return self.state.run(f"accuracy, seed {seed}", lambda: self._evaluate(seed, fields))

    def _train(self, seed: int, fields: dict[str, object]) -> dict[str, Any]:
        folder = self.folder(seed)
        logs = self.paths.workdir / f"logs_seed_{seed}"
        launcher = self.set_up.launcher(logs)
        words = [*self._words({**fields, "seed": seed}), f"--workdir={folder}", "--noreport"]
        command = [sys.executable, *launcher, "main.py", *words]
        command = ["-m", "tools.run_forever", "--", *command]
        self._child(command, f"training seed {seed}", logs / "workerlog.0")
        result = run_folder.result(folder)
        if result is None:
            raise UserError(f"training seed {seed}: {folder} has no result; see the lines above")
        return {"top1": result["top1"], "hours": round(result["seconds"] / 3600, 3)}

    def _evaluate(self, seed: int, fields: dict[str, object]) -> dict[str, Any]:
        """Counts the test images once more, by `val.py`, and compares with the run's own result."""
        output = self.paths.workdir / f"accuracy_seed_{seed}.json"
        words = ["val.py", f"--weights={self.folder(seed)}", f"--json={output}"]
        words += [f"--config.data.root={fields['data.root']}"] if fields["data.root"] else []
        self._child(words, f"the accuracy of seed {seed}")
        found = read_json(output)
        trained = (self.state.done(f"training, seed {seed}") or {}).get("top1", found["top1"])
        if abs(found["top1"] - trained) * found["seen"] > _SAME_IMAGES:
            raise UserError(
                f"seed {seed}: val.py counts {100 * found['top1']:.2f} %, the run's result has "
                f"{100 * trained:.2f} %: are {self.folder(seed)} and its test images the same?"
            )
        return {"top1": found["top1"], "images": found["seen"]}

    def _report(self, seeds: range) -> dict[str, Any]:
        """Makes the page of all runs, where plotly is there."""
        output = self.paths.workdir / run_folder.REPORT
        folders = [str(self.folder(seed)) for seed in seeds]
        try:
            self._child(["-m", "tools.report", *folders, f"--output={output}"], "the report")
        except UserError as error:  # what is finished stays finished
            print(f"report: none ({error})", flush=True)
            return {"page": ""}
        return {"page": str(output)}

    def _judge(self, found: list[dict[str, Any]]) -> int:
        """Prints and writes the verdict; returns the exit code."""
        published = self.figure.published
        top1s = [100 * one["top1"] for one in found]
        judged = verdict.judge(published, top1s, found[0]["images"])
        line = verdict.describe(judged, published)
        line = f"rehearsal, which says nothing about the figure: {line}" if self.small else line
        differences = [*self.figure.differences, *self.set_up.notes, *self._versions()]
        content = {
            "figure": self.figure.name,
            "line": line,
            **judged.as_dict(),
            "top1s": top1s,
            "published": published.value,
            "source": published.source,
            "differs": differences,
            "open_questions": list(self.figure.open_questions),
        }
        write_json(self.paths.workdir / VERDICT, content)
        target = page.write(self.paths.workdir, self.set_up, content, self.state.stages())
        print("\nwhat differs from the published set-up:")
        print(*(f"  - {one}" for one in differences or ["nothing that is known"]), sep="\n")
        print(f"page: {target}")
        print(f"verdict: {line}", flush=True)
        failed = judged.kind == verdict.NOT and not self.small
        return exits.FAILED_EXPECTATION if failed else exits.DONE

    def _versions(self) -> list[str]:
        """Returns a line about the Paddle of this run, and of its beginning where it differs."""
        first, now = self.state.run("library", lambda: {"paddle": _paddle()})["paddle"], _paddle()
        changed = f", begun with {first}" if first != now else ""
        return [f"library: {now} is what this run used{changed}"]


def _paddle() -> str:
    """Returns the name and version of the installed Paddle; empty for none."""
    for name in ("paddlepaddle-gpu", "paddlepaddle"):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return ""
