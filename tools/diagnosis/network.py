"""Checks which hosts of weights and data can be reached, and through which proxies."""

from __future__ import annotations

import email.utils
import os
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from tools.diagnosis.lines import BAD, FINE, LOOK, Line, size

_SECONDS = 6.0  # for a connection
_WRONG_CLOCK = 300.0  # seconds between this clock and a server's
HUGGING_FACE, MIRROR = "https://huggingface.co", "https://hf-mirror.com"
# What lies where. Any answer of a server shows that it can be reached.
_HOSTS = (
    ("PPIM's weights", "https://bj.bcebos.com"),
    ("Paddle's weights", "https://paddle-hapi.bj.bcebos.com"),
    ("Google's weights", "https://storage.googleapis.com"),
    ("CIFAR", "https://www.cs.toronto.edu"),
)


class Reach(NamedTuple):
    """How a server has answered.

    Attributes:
        seconds: until its answer.
        error: why there is none; empty for an answer.
        ahead: seconds by which its clock is ahead of this one; None: it does not say.
        length: bytes of the file; 0: it does not say.
        status: of the answer; 0 for none.
    """

    seconds: float
    error: str = ""
    ahead: float | None = None
    length: int = 0
    status: int = 0


def hosts(environ: Mapping[str, str] = os.environ) -> list[tuple[str, str]]:
    """Returns what is looked for, and the address of its host."""
    own = environ.get("HF_ENDPOINT", "").rstrip("/")
    named = {HUGGING_FACE: "Hugging Face", MIRROR: "Hugging Face's mirror"}
    if own:
        named.setdefault(own, "HF_ENDPOINT")
    return [*((what, url) for url, what in named.items()), *_HOSTS]


def reach(url: str, seconds: float = _SECONDS) -> Reach:
    """Asks a server for the head of an address; any answer counts."""
    begin = time.perf_counter()
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "rdrop-doctor"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            headers, status = answer.headers, answer.status
    except urllib.error.HTTPError as error:
        if error.code == 407:
            return Reach(0.0, "the proxy asks for a name and a password (407)")
        headers, status = error.headers, error.code
    except (OSError, ValueError) as error:
        return Reach(time.perf_counter() - begin, _reason(error))
    date, length = email.utils.parsedate_tz(headers.get("Date", "")), headers.get("Content-Length")
    ahead = email.utils.mktime_tz(date) - time.time() if date else None
    whole = int(length) if length and re.fullmatch(r"\d+", length) else 0
    return Reach(time.perf_counter() - begin, "", ahead, whole, status)


def _reason(error: Exception) -> str:
    """Returns in a few words why a server can't be reached."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused ({cause.verify_message})"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    words = getattr(cause, "strerror", None) or str(cause)
    return f"{words[:120]}"


class Tries:
    """Asks all servers at the same time, in threads that hold nothing up.

    The time-out of a connection does not count the search for its address, so a thread may hang.

    Args:
        urls: of the servers.
        ask: returns how one has answered.
    """

    def __init__(self, urls: Sequence[str], ask: Callable[[str], Reach] = reach):
        self._found: dict[str, Reach] = {}
        self._ask = ask
        self._threads = [
            threading.Thread(target=self._one, args=(url,), daemon=True) for url in urls
        ]
        self._begin = time.monotonic()
        for thread in self._threads:
            thread.start()

    def _one(self, url: str) -> None:
        try:
            self._found[url] = self._ask(url)
        except Exception as error:  # what a thread raises would be printed into the page
            self._found[url] = Reach(0.0, f"{type(error).__name__}: {error}")

    def results(self, seconds: float = 2 * _SECONDS) -> dict[str, Reach]:
        """Returns what has come until so many seconds after the start."""
        for thread in self._threads:
            thread.join(max(0.0, self._begin + seconds - time.monotonic()))
        return dict(self._found)


def reached(
    wanted: Sequence[tuple[str, str]],
    results: Mapping[str, Reach],
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Line]:
    """Tells which hosts have answered, and what to do about the others.

    Args:
        wanted: what is looked for, and its address.
        results: by the address; one without a result has not answered.
        environ: of this process.
    """
    answers = {url: results.get(url, Reach(0.0, "no answer in time")) for _, url in wanted}
    if all(answer.error for answer in answers.values()):
        why = next(iter(answers.values())).error
        yield Line(
            "network",
            LOOK,
            f"none of {len(wanted)} hosts of weights and data can be reached ({why})",
            "set https_proxy, or get weights and data elsewhere and give "
            "their paths (--config.model.pretrained, --config.data.root)",
        )
        return
    own = environ.get("HF_ENDPOINT", "").rstrip("/") or HUGGING_FACE
    for what, url in wanted:
        answer, name = answers[url], f"network, {what}"
        if not answer.error:
            yield Line(name, FINE, f"{_host(url)} answers in {answer.seconds:.1f} s")
        elif url == own:
            yield Line(name, LOOK, f"{_host(url)}: {answer.error}", _other(url, answers))
        elif url in (MIRROR, HUGGING_FACE):
            yield Line(name, FINE, f"{_host(url)}: {answer.error}; it is not used")
        else:
            yield Line(
                name,
                LOOK,
                f"{_host(url)}: {answer.error}",
                "get what lies there elsewhere, and give its path",
            )
    yield from _clocks(answers)


def _other(url: str, answers: Mapping[str, Reach]) -> str:
    """Returns what to do where the host of Hugging Face's weights is not reached."""
    for other in (MIRROR, HUGGING_FACE):
        if other != url and other in answers and not answers[other].error:
            return f"export HF_ENDPOINT={other}" if other == MIRROR else "unset HF_ENDPOINT"
    return "get weights elsewhere and give their paths"


def _clocks(answers: Mapping[str, Reach]) -> Iterator[Line]:
    ahead = sorted(one.ahead for one in answers.values() if one.ahead is not None)
    middle = ahead[len(ahead) // 2] if ahead else 0.0
    if abs(middle) > _WRONG_CLOCK:
        yield Line("clock of servers", LOOK, f"{middle:+.0f} s ahead of this one", "set it (NTP)")


def weights(source: str, url: str, answer: Reach, room: float) -> Line:
    """Returns the line about weights that have to be downloaded.

    Args:
        source: as the config names them.
        url: their address.
        answer: of its server.
        room: bytes that are free where they are kept.
    """
    name = f"weights {public_source(source)}"
    if answer.error or answer.status >= 500:
        why = answer.error or f"status {answer.status}"
        remedy = "get them elsewhere, and set --config.model.pretrained=FILE"
        if urlsplit(url).netloc == urlsplit(HUGGING_FACE).netloc:
            remedy = f"export HF_ENDPOINT={MIRROR}, or {remedy}"
        return Line(name, BAD, f"not here, and {_host(url)} can't be reached ({why})", remedy)
    if answer.status in (401, 403, 404):
        remedy = "see its page: it may need leave and HF_TOKEN, or have another name"
        return Line(name, BAD, f"not here, and {_host(url)} answers {answer.status}", remedy)
    if answer.length > room:
        found = f"not here; {size(answer.length)} to download, {size(room)} free in ~/.cache"
        return Line(name, BAD, found, "make room there, or give a file elsewhere")
    much = f"{size(answer.length)} " if answer.length > 1 << 16 else ""
    return Line(
        name,
        FINE,
        f"not here; {_host(url)} has them, {much}to download".replace(", to download", ""),
    )


def public_source(source: str) -> str:
    """Returns the source of weights without what may be secret in an address."""
    return _without_password(source.partition("?")[0]) if "://" in source else source


def _host(url: str) -> str:
    """Returns the host of an address, without a name or a password."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def proxies(found: Mapping[str, str] | None = None) -> Iterator[Line]:
    """Tells which proxies are set, without their passwords.

    Args:
        found: addresses by the kind of proxy; None: those of the environment.
    """
    found = urllib.request.getproxies() if found is None else found
    own = {kind: url for kind, url in sorted(found.items()) if kind in ("http", "https", "all")}
    if not own:
        yield Line("proxies", FINE, "none is set")
        return
    shown = " ".join(f"{kind}={_without_password(url)}" for kind, url in own.items())
    shown += f" no={found['no']}" if found.get("no") else ""
    odd = [kind for kind, url in own.items() if not re.match(r"https?://", url)]
    if odd:
        yield Line("proxies", LOOK, shown, f"{odd[0]}_proxy is to begin with http:// here")
    elif "https" not in own:
        yield Line("proxies", LOOK, shown, "https_proxy is not set, and downloads are by https")
    else:
        yield Line("proxies", FINE, shown)


def _without_password(url: str) -> str:
    return re.sub(r"^([a-z0-9]*:?//)?.*@", r"\1***@", url)
