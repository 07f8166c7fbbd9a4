"""The command line of the demo."""

import socket

import pytest
from in_process import run_here

from common.errors import UserError
from tools.demo import free_port


def test_port_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run_here("tools.demo", "--weights", "nowhere", "--port", port)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {port} of 127.0.0.1 can't be used")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--port", "65536"), "--port is 65536, expected 0 to 65535"),
        (("--port", "-1"), "--port is -1"),
        (("--host", "not a host"), "of not a host can't be used"),
        (("--lang", "cn"), "invalid choice: 'cn'"),
    ],
)
def test_bad_words(words, expected):
    done = run_here("tools.demo", "--weights", "nowhere", *words)
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_weights(tmp_path):
    pytest.importorskip("gradio")
    done = run_here("tools.demo", "--weights", tmp_path / "none", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "none: no such weights file" in done.stderr


def test_any_free_port():
    port = free_port("127.0.0.1", 0)
    assert 0 < port < 65536
    assert free_port("127.0.0.1", port) == port
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(UserError):
            free_port("127.0.0.1", port)
