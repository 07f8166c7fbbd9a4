"""A child that crashes, hangs or says nothing is an answer; nothing of it stays."""

from __future__ import annotations

import os
import sys
import time

import pytest

from tools.diagnosis import children
from tools.diagnosis.children import Answer

_TELL = "import sys; from tools.diagnosis.probes.telling import Teller; t = Teller(sys.argv[1])\n"


def _answer(code: str, patience: float = 0.0) -> Answer:
    return children.answer_of([sys.executable, "-c", _TELL + code], ("word",), patience)


def test_facts_come_back():
    found = _answer("t.stage('one'); t.tell(a=[1, 'ä'], words=sys.argv[2:]); t.stage('done')")
    assert found == Answer({"a": [1, "ä"], "words": ["word"]}, "", "")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "ended by SIGILL"),
        ("raise ImportError('libcudnn.so.8: absent')", "ImportError: libcudnn.so.8: absent"),
        ("sys.exit(3)", "exit code 3"),
        ("print('what it printed'); sys.exit(3)", "what it printed"),
        ("sys.exit(0)", "exit code 0"),  # before its end
    ],
)
def test_what_is_known_at_a_crash(code, error):
    found = _answer(f"t.tell(a=1); t.stage('here')\n{code}")
    assert (found.facts, found.error, found.stage) == ({"a": 1}, error, "here")


def test_remedies():
    assert "the processor lacks" in Answer({}, "ended by SIGILL").remedy
    assert Answer({}, "nobody knows").remedy == ""


def test_a_child_that_hangs_is_ended_with_its_children(tmp_path, monkeypatch):
    """One of them ignores the first signal, as a process that waits for NCCL may."""
    monkeypatch.setattr(children, "_GRACE_SECONDS", 0.2)
    pids = tmp_path / "pids"
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "t.stage('waiting')\n"
        "child = os.fork()\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(3600)\n"
    )
    found = _answer(code, patience=3.0)
    assert found.error == "no end after 3 seconds (--patience)"
    for pid in map(int, pids.read_text().split()) if pids.exists() else ():
        for _ in range(1000):  # the system takes its time to end it
            if _has_ended(pid):
                break
            time.sleep(0.01)
        assert _has_ended(pid)


def _has_ended(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"  # dead, not yet buried
    except FileNotFoundError:
        return True


def test_a_launcher_has_left_its_variables(monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "4")
    monkeypatch.setenv("KEPT", "1")
    found = _answer("import os; t.tell(e=dict(os.environ)); t.stage('done')").facts["e"]
    assert "PADDLE_TRAINERS_NUM" not in found
    assert found["KEPT"] == "1"
    assert os.environ["PADDLE_TRAINERS_NUM"] == "4"
