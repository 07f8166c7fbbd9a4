"""Short runs of the trainer whose every bit is on record.

    python tests/golden_runs.py record|check FILE [--only NAME]

A change of structure must not change a number. `record` makes the runs and writes down the hash of
their weights and all their metrics; `check` makes them again and compares. The hashes are those of
one kind of machine (processor, versions, threads), which the file names; on another one `check`
compares the metrics to rounding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from safetensors.numpy import load_file  # noqa: E402

from program import paddle_setup  # noqa: E402

RECORD = Path(__file__).with_suffix(".json")
TOLERANCE = 0.02  # relative, of metrics on another kind of machine: rounding grows over 60 steps
_TIMES = ("seconds", "images_per_second")
_COMMON = {
    "train.steps": 60,
    "optim.warmup_steps": 10,
    "train.log_every_steps": 5,
    "train.checkpoint_every_steps": 10,
}
_TEACHER = "default"  # the run whose weights teach the others
RUNS: dict[str, dict[str, object]] = {
    "default": {},
    "accumulation": {"train.batch_size": 16, "train.accumulation_steps": 4},
    "two_processes": {"train.batch_size": 32},
    "tricks": {
        "average.ema_decay": 0.9,
        "data.mixup_alpha": 0.8,
        "data.cutmix_alpha": 1.0,
        "data.erase_probability": 0.25,
        "loss.label_smoothing": 0.1,
        "model.drop_path_rate": 0.1,
    },
    "unlabelled_swa": {
        "data.labels_per_class": 20,
        "rdrop.unlabelled_batch_size": 32,
        "train.batch_size": 32,
        "average.swa_start": 0.5,
        "average.swa_every_steps": 5,
        "rdrop.shared_blocks": 1,
    },
    "distillation": {
        "model.name": "vit_n_2_distilled",
        "distill.teacher": "vit_n_2",
        "optim.name": "momentum",
        "optim.lr": 0.05,
        "optim.schedule": "polynomial",
    },
    "micro_batch_auto": {"train.micro_batch": "auto"},
    "killed": {},
    "plain_operators": {"model.operators": "plain"},
}


def machine() -> dict[str, str]:
    """Returns what the bits of a run depend on, apart from the code."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    processor = {key.strip(): value.strip() for key, value in facts.items()}
    versions = {
        name: metadata.version(name) for name in ("paddlepaddle", "numpy", "numba", "pillow")
    }
    flags = hashlib.sha256(processor.get("flags", "").encode()).hexdigest()[:16]
    names = {
        key: processor.get(key, "") for key in ("vendor_id", "cpu family", "model", "model name")
    }
    return {**names, "flags": flags, "cores": str(os.cpu_count()), **versions}


def make(name: str, root: Path, folder: Path) -> dict[str, object]:
    """Makes one run in `folder / name` with the code in `root`; returns its hashes and metrics."""
    fields = {**_COMMON, **RUNS[name]}
    if "distill.teacher" in fields:
        # A relative path: weights files hold their config.
        fields["distill.weights"] = f"{_TEACHER}/weights.safetensors"
    words = [
        str(root / "main.py"),
        f"--workdir={name}",
        *(f"--config.{key}={value}" for key, value in fields.items()),
    ]
    if name == "two_processes":
        launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", "logs"]
        words = [*launcher, *words]
    command = [sys.executable, *words]
    # The test that calls this has set these for its own process; the bits depend on them.
    own = paddle_setup.VARIABLES
    environment = {key: value for key, value in os.environ.items() if key not in own}
    if name == "killed":
        _kill(command, environment, folder, folder / name / "checkpoints" / "step_00000020")
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    weights = sorted((folder / name).glob("weights*.safetensors"))
    records = map(
        json.loads, (folder / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    )
    metrics = [
        {key: value for key, value in record.items() if key not in _TIMES} for record in records
    ]
    return {
        "weights": {path.name: _digest(path) for path in weights},
        "metrics_sha256": hashlib.sha256(json.dumps(metrics).encode()).hexdigest(),
        "metrics": metrics,
    }


def _digest(path: Path) -> str:
    """Returns the hash of the arrays in a weights file.

    Not of the file: that holds the config, too, in which a new field changes nothing.
    """
    state = hashlib.sha256()
    for name, array in sorted(load_file(path).items()):
        state.update(f"{name} {array.dtype} {array.shape}".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def _kill(command: list[str], environment: dict[str, str], folder: Path, checkpoint: Path) -> None:
    """Starts a run, and kills it once it has written a checkpoint."""
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    while not checkpoint.is_dir() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def differences(name: str, found: dict, expected: dict, same_machine: bool) -> list[str]:
    """Returns what of a run differs from its record, as lines.

    On another kind of machine that is only what exceeds rounding.
    """
    if same_machine:
        keys = ("weights", "metrics_sha256")
        return [
            f"{name}: {key}: {found[key]}, on record {expected[key]}"
            for key in keys
            if found[key] != expected[key]
        ]
    if len(found["metrics"]) != len(expected["metrics"]):
        return [f"{name}: {len(found['metrics'])} records, expected {len(expected['metrics'])}"]
    lines = []
    for own, theirs in zip(found["metrics"], expected["metrics"]):
        if own.keys() != theirs.keys():
            lines.append(f"{name}: a record of {sorted(own)}, expected {sorted(theirs)}")
        for key in ("ce", "lr"):
            if key in theirs and abs(own[key] - theirs[key]) > TOLERANCE * abs(theirs[key]):
                lines.append(
                    f"{name}: step {theirs['step']}: {key} is {own[key]}, expected {theirs[key]}"
                )
    return lines


def main() -> int:
    """Records or checks the runs that the command line names; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("record", "check"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout whose main.py is run")
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = dict.fromkeys([_TEACHER, *arguments.only])
        runs = {name: make(name, arguments.root.resolve(), Path(folder)) for name in names}
    if arguments.what == "record":
        arguments.file.write_text(
            json.dumps({"machine": machine(), "runs": runs}, indent=1) + "\n", encoding="utf-8"
        )
        return 0
    stored = json.loads(arguments.file.read_text(encoding="utf-8"))
    same = stored["machine"] == machine()
    lines = [
        line for name in runs for line in differences(name, runs[name], stored["runs"][name], same)
    ]
    print(
        *lines,
        f"{len(runs)} runs, {'bit for bit' if same else 'to rounding'}, {len(lines)} differences",
        sep="\n",
    )
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
