"""The supervisor with small commands; the slow test kills a worker of a real training run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, launch, run_program

from common.errors import UserError
from tools.run_forever import Policy, Supervisor, read_command_line


class _Scripted(Supervisor):
    """Runs nothing: returns exit codes after times from a list, and notes the pauses."""

    def __init__(self, runs, policy):
        self.runs, self.now, self.pauses = iter(runs), 0.0, []
        super().__init__(["stub"], policy, clock=lambda: self.now, sleep=self._advance)

    def _run_once(self):
        code, seconds = next(self.runs)
        self.now += seconds
        return code

    def _wait_for(self, seconds, *arguments, **fields):
        self.pauses.append(seconds)
        super()._wait_for(seconds, *arguments, **fields)

    def _advance(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("code", [0, 1, 2])
def test_what_has_ended_is_not_started_again(code, capsys):
    supervisor = _Scripted([(247, 1), (code, 1)], Policy())
    assert supervisor.run() == code
    assert supervisor.pauses == [5.0]
    first, last = capsys.readouterr().err.splitlines()
    assert first.endswith("exit code 247 after 1 s; restart 1 of 10 in 5 s")
    assert last.endswith("after 1 s, not started again")


def test_crashes_are_restarted_ever_later_and_not_for_ever(capsys):
    supervisor = _Scripted(
        [(code, 1) for code in (137, 70, 75, 250, 139)], Policy(max_restarts=4, max_backoff=30)
    )
    assert supervisor.run() == 139
    assert supervisor.pauses == [5, 10, 20, 30]
    said = capsys.readouterr().err.splitlines()
    assert "killed by SIGKILL after 1 s; restart 1 of 4" in said[0]
    assert "exit code 75 (stopped on request)" in said[2]
    assert said[-1].endswith(
        "killed by SIGSEGV after 1 s; given up, since it was started again 4 times without progress"
    )


def test_a_long_run_counts_anew():
    supervisor = _Scripted(
        [(247, 1), (247, 1), (247, 600), (247, 1), (0, 1)], Policy(max_restarts=2)
    )
    assert supervisor.run() == 0
    assert supervisor.pauses == [5, 10, 5, 10]


def test_the_hours_end_in_a_pause():
    supervisor = _Scripted([(247, 3595), (0, 1)], Policy(hours=1, backoff=60))
    assert supervisor.run() == 247
    assert supervisor.now == pytest.approx(3600, abs=1)


def test_a_signal_in_a_pause():
    supervisor = _Scripted([(247, 1), (0, 1)], Policy())
    supervisor._sleep = lambda seconds: os.kill(os.getpid(), signal.SIGTERM)
    assert supervisor.run() == 247
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_longest_pause():
    assert Policy(backoff=1, max_backoff=300).pause(10**6) == 300


_ANEW = ("--overwrite", "-overwrite", "--overwrite=True", "--overwrite=1", "-overwrite=t")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no command"),
        (["--max_restarts", "3", "--"], "there is no command"),
        *((["--", "python", "main.py", word], "each restart would begin anew") for word in _ANEW),
        (["--max_restarts", "-1", "--", "true"], "--max_restarts is -1, expected 0 or more"),
        (["--backoff", "nan", "--", "true"], "--backoff is nan"),
        (["--hours", "inf", "--", "true"], "--hours is inf"),
    ],
)
def test_mistakes(words, message):
    with pytest.raises(UserError, match=message):
        read_command_line(words)


def test_overwrite_that_is_off():
    command = ["python", "main.py", "--overwrite=False"]
    assert read_command_line(["--", *command])[1] == command


def _supervised(*words: str) -> list[str]:
    return ["-m", "tools.run_forever", "--backoff", "0", *words]


def test_a_command_that_is_not_there():
    done = run_program(*_supervised("--", "/no/such/program"))
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[-1]
        == "error: /no/such/program can't be started (No such file or directory)"
    )


_ORPHAN = """
import os, pathlib, signal, subprocess, sys
note = pathlib.Path(sys.argv[1])
if note.exists():
    state = pathlib.Path("/proc", note.read_text(), "stat")
    sys.exit(3 if state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z" else 0)
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleeper, start_new_session=True)
note.write_text(str(child.pid))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_command_leaves_is_killed(tmp_path):
    """Its child has a session of its own, as the launcher's workers have."""
    done = run_program(*_supervised("--", sys.executable, "-c", _ORPHAN, tmp_path / "note"))
    assert done.returncode == 0, done.stderr
    assert (
        f"processes that were left over: {(tmp_path / 'note').read_text()} (killed)" in done.stderr
    )
    assert "killed by SIGKILL" in done.stderr


_OBEDIENT = """
import signal, sys, time
asked = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: asked.append(number))
print("ready", flush=True)
while len(asked) < int(sys.argv[1]):
    time.sleep(0.01)
    if asked: print("once", flush=True)
print(*asked)
sys.exit(75)
"""


@pytest.mark.parametrize(
    ("numbers", "passed"),
    [
        ([signal.SIGTERM], "15"),
        ([signal.SIGUSR1], "15"),
        ([signal.SIGHUP], "15"),
        ([signal.SIGINT, signal.SIGINT], "2 2"),
    ],
)
def test_signals_are_passed_on(numbers, passed):
    command = [
        sys.executable,
        *_supervised("--", sys.executable, "-c", _OBEDIENT, str(len(numbers))),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        for word, number in zip(("ready", "once"), numbers):
            assert process.stdout.readline().strip() == word
            process.send_signal(number)
        output, errors = process.communicate()
    assert process.returncode == 75, errors
    assert output.splitlines()[-1] == passed
    assert f"{numbers[0].name} received: asking it to stop" in errors
    assert errors.count("starting:") == 1


def test_the_hours_end_in_a_run():
    done = run_program(
        *_supervised("--hours", "0.0003", "--", sys.executable, "-c", _OBEDIENT, "1")
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (75, "15")
    assert "hours are over: asking it to stop" in done.stderr


def test_it_does_without_paddle():
    code = "import sys, tools.run_forever; sys.exit('paddle' in sys.modules)"
    assert run_program("-c", code).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "launcher"])
def test_two_processes_one_of_them_killed(tmp_path, victim):
    """The run is started again, and ends with the weights of one that was left alone."""
    overrides = [
        "--config.train.steps=60",
        "--config.train.batch_size=16",
        "--config.train.checkpoint_every_steps=5",
    ]
    overrides += ["--config.train.log_every_steps=1", "--config.average.ema_decay=0.9"]
    done = launch(2, tmp_path / "log", "main.py", f"--workdir={tmp_path / 'whole'}", *overrides)
    assert done.returncode == 0, done.stdout[-3000:]
    folder = tmp_path / "cut"
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2"]
    command += ["--log_dir", str(tmp_path / "log2"), "main.py", f"--workdir={folder}", *overrides]
    process = subprocess.Popen(
        [sys.executable, *_supervised("--", *command)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    metrics = folder / "metrics.jsonl"
    while not metrics.is_file() or metrics.read_text().count('"train"') < 12:
        assert process.poll() is None
        time.sleep(0.01)
    launcher = _children(process.pid)[0]
    os.kill(launcher if victim == "launcher" else _children(launcher)[1], signal.SIGKILL)
    output = process.communicate()[0].decode()
    assert process.returncode == 0, output[-3000:]
    assert "restart 1 of 10" in output
    assert "going on from step" in output
    results = [
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "cut")
    ]
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]


def _children(process: int) -> list[int]:
    """The child processes, the oldest first."""
    with open(f"/proc/{process}/task/{process}/children", encoding="utf-8") as file:
        return sorted(int(word) for word in file.read().split())
