"""Hosts that answer, refuse, stall or are unknown; proxies, whose passwords are not shown."""

from __future__ import annotations

import email.utils
import socket
import ssl
import threading
import time
import urllib.error
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tools.diagnosis import network
from tools.diagnosis.network import HUGGING_FACE, MIRROR, Reach


class _Server(BaseHTTPRequestHandler):
    """Answers with the status that the path names; its clock is an hour ahead."""

    def do_HEAD(self):
        self.send_response_only(int(self.path.strip("/")))
        self.send_header("Date", email.utils.formatdate(time.time() + 3600, usegmt=True))
        self.send_header("Content-Length", "123456789")
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    """The address of a server on this machine, to which no proxy leads."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    own = HTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=own.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{own.server_port}"
    own.shutdown()
    own.server_close()


def test_any_answer_counts(server):
    for status in (200, 403, 404, 405, 500):
        found = network.reach(f"{server}/{status}", 30)
        assert (found.error, found.status) == ("", status)
        assert found.length == 123456789
        assert found.ahead == pytest.approx(3600, abs=300)
    assert "asks for a name" in network.reach(f"{server}/407", 30).error


def test_no_answer(server):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert network.reach(address, 0.1).error in ("no answer in time", "timed out")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert network.reach(closed, 30).error == "Connection refused"


def test_a_refused_certificate():
    error = ssl.SSLCertVerificationError(1, "certificate")
    error.verify_message = "certificate is not yet valid"
    found = network._reason(urllib.error.URLError(error))
    assert found == "its certificate is refused (certificate is not yet valid)"


def test_all_at_once_and_none_holds_up():
    held = threading.Event()

    def ask(url):
        if url == "stuck":
            held.wait()
        if url == "broken":
            raise ValueError("odd")
        return Reach(0.1)

    tries = network.Tries(["a", "stuck", "broken"], ask)
    while len(tries.results(0)) < 2:
        time.sleep(0.01)
    assert tries.results(0) == {"a": Reach(0.1), "broken": Reach(0.0, "ValueError: odd")}
    held.set()


_BOTH = [("Hugging Face", HUGGING_FACE), ("Hugging Face's mirror", MIRROR), ("CIFAR", "https://c")]
_NO = Reach(6.0, "no answer in time")


def _lines(results, **environ):
    wanted = _BOTH + [("HF_ENDPOINT", one) for one in environ.values() if one != MIRROR]
    return {one.name: one for one in network.reached(wanted, results, environ)}


def test_all_hosts_are_reached():
    found = _lines({HUGGING_FACE: Reach(0.2), MIRROR: Reach(0.3), "https://c": Reach(1.0)})
    assert [one.state for one in found.values()] == ["fine"] * 3


def test_in_china():
    """Hugging Face is not reached, its mirror is: the line says how to use it."""
    found = _lines({HUGGING_FACE: _NO, MIRROR: Reach(0.3), "https://c": Reach(1.0)})
    line = found["network, Hugging Face"]
    assert (line.state, line.remedy) == ("look", f"export HF_ENDPOINT={MIRROR}")
    found = _lines({MIRROR: Reach(0.3)}, HF_ENDPOINT=MIRROR)
    assert found["network, Hugging Face"].state == "fine"  # it is not used
    assert found["network, CIFAR"].state == "look"  # its answer has not come
    found = _lines({HUGGING_FACE: Reach(0.3), MIRROR: _NO}, HF_ENDPOINT=MIRROR)
    assert found["network, Hugging Face's mirror"].remedy == "unset HF_ENDPOINT"


def test_no_network_at_all():
    (line,) = network.reached(_BOTH, {})
    assert line.state == "look"
    assert "none of 3 hosts" in line.found
    assert "--config.model.pretrained" in line.remedy


def test_the_clock_of_servers():
    found = _lines({url: Reach(0.1, ahead=-4000.0) for _, url in _BOTH})
    assert found["clock of servers"].found == "-4000 s ahead of this one"


def test_a_mirror_of_ones_own_is_asked():
    assert ("HF_ENDPOINT", "https://m.org") in network.hosts({"HF_ENDPOINT": "https://m.org/"})
    assert len(network.hosts({"HF_ENDPOINT": MIRROR})) == len(network.hosts({}))


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (Reach(0.1, length=346 << 20, status=200), "fine", "has them, 346 MB to download"),
        (Reach(0.1, status=302), "fine", "huggingface.co has them"),
        (_NO, "bad", f"export HF_ENDPOINT={MIRROR}"),
        (Reach(0.1, status=503), "bad", "status 503"),
        (Reach(0.1, status=401), "bad", "HF_TOKEN"),
        (Reach(0.1, length=2 << 30, status=200), "bad", "2.0 GB to download, 1.0 GB free"),
    ],
)
def test_weights(answer, state, words):
    line = network.weights("hf/a/b", f"{HUGGING_FACE}/a/b", answer, 1 << 30)
    assert line.state == state
    assert words in str(line)


def test_what_is_secret_in_an_address_is_not_shown():
    url = "https://me:secret@a.org/w.npz?key=secret"
    assert "secret" not in str(network.weights(url, url, _NO, 1 << 30))
    assert network.public_source("google/a#ema") == "google/a#ema"


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        ({}, "fine", "none is set"),
        ({"https": "http://p:3128", "no": "a.cn"}, "fine", "https=http://p:3128 no=a.cn"),
        ({"https": "http://me:secret@p:3128"}, "fine", "https=http://***@p:3128"),
        ({"http": "http://p"}, "look", "https_proxy is not set"),
        ({"https": "socks5://p:1080"}, "look", "is to begin with http://"),
        ({"https": "me:secret@p:3128"}, "look", "https=***@p:3128"),
        ({"https": "http://me:se/secret@p:3128"}, "fine", "https=http://***@p:3128"),
    ],
)
def test_proxies(found, state, words):
    (line,) = network.proxies(found)
    assert line.state == state
    assert words in str(line)
    assert "secret" not in str(line)
