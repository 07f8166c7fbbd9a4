"""Checks of the clock, of letters, and of variables that an earlier launch has left."""

from __future__ import annotations

import codecs
import datetime
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.diagnosis.lines import BAD, FINE, LOOK, Line

# What Paddle's launchers set for each process.
LAUNCHER_VARIABLES = frozenset(
    f"PADDLE_{name}"
    for name in (
        *("TRAINERS_NUM", "TRAINER_ID", "TRAINER_ENDPOINTS", "CURRENT_ENDPOINT", "MASTER"),
        *("LOCAL_SIZE", "LOCAL_RANK", "GLOBAL_SIZE", "GLOBAL_RANK", "RANK_IN_NODE", "NNODES"),
        *("PORT", "TRAINERS", "JOB_ID", "LOG_DIR", "DISTRI_BACKEND", "RESTART", "TRAINING_ROLE"),
    )
) | {"TRAINING_ROLE", "MASTER_ADDR", "MASTER_PORT", "FLAGS_selected_gpus", "POD_IP"}
# With these a program believes that it is one of several.
_MANY = ("PADDLE_TRAINERS_NUM", "PADDLE_TRAINER_ENDPOINTS")
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
_LAST_YEAR = 2100
_ROOT = Path(__file__).resolve().parent.parent.parent
_A_DAY = 86400.0


def clock(now: float | None = None, newest: float | None = None) -> Iterator[Line]:
    """Checks that the clock is not before the files of this project, nor far ahead.

    Args:
        now: seconds since 1970; None: the machine's.
        newest: when the newest file of the project was changed; None: it is looked up.
    """
    now = time.time() if now is None else now
    if newest is None:
        newest = max(path.stat().st_mtime for path in _ROOT.glob("*.*"))
    moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    found = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    if now < newest - _A_DAY:
        changed = datetime.datetime.fromtimestamp(newest, datetime.timezone.utc)
        found += f", before the files of this project ({changed:%Y-%m-%d})"
        yield Line("clock", BAD, found, "set it (NTP): downloads by https fail with a wrong one")
    elif moment.year > _LAST_YEAR:
        yield Line("clock", BAD, found, "set it (NTP): downloads by https fail with a wrong one")
    else:
        yield Line("clock", FINE, found)


def letters(
    environ: Mapping[str, str] = os.environ,
    of_files: str | None = None,
    of_output: str | None = None,
    forced: bool | None = None,
) -> Iterator[Line]:
    """Checks that names in any language can be read and printed.

    Args:
        environ: of this process.
        of_files: the encoding of names of files; None: Python's.
        of_output: that of standard output; None: Python's.
        forced: whether Python has been started in its UTF-8 mode; None: as it is.
    """
    of_files = of_files or sys.getfilesystemencoding()
    of_output = of_output or getattr(sys.stdout, "encoding", "") or "ascii"
    forced = bool(sys.flags.utf8_mode) if forced is None else forced
    named = next((name for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    locale = f"{named}={environ[named]}" if named else "no locale is set"
    found = f"{locale}, names of files {of_files}, output {of_output}"
    remedy = "export LC_ALL=C.UTF-8"
    if not _is_utf8(of_files):
        yield Line("letters", LOOK, found, f"{remedy}: names in other languages can't be opened")
    elif not _is_utf8(of_output):
        why = "other letters are printed as escapes"
        asked = " (and unset PYTHONIOENCODING)" * ("PYTHONIOENCODING" in environ)
        yield Line("letters", LOOK, found, f"{remedy}{asked}: {why}")
    elif (
        forced
        and named
        and "utf" not in environ[named].lower()
        and environ[named] not in ("C", "POSIX")
    ):
        yield Line("letters", LOOK, found, f"{remedy}: other programs may read names otherwise")
    else:
        yield Line("letters", FINE, found)


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


def launcher(environ: Mapping[str, str] = os.environ) -> Iterator[Line]:
    """Checks that no variables of an earlier launch are set in this shell."""
    own = {name: environ[name] for name in sorted(LAUNCHER_VARIABLES & environ.keys())}
    if not own:
        yield Line("launcher", FINE, "none of its variables is set")
        return
    found = " ".join(f"{name}={value}" for name, value in own.items())
    remedy = f"unset {' '.join(own)}"
    count = environ.get(_MANY[0], "1")
    if count != "1" or "," in environ.get(_MANY[1], ""):
        wait = f"a run started here would wait for the others of {count}: {remedy}"
        yield Line("launcher", BAD, found, wait)
    else:
        yield Line("launcher", LOOK, found, f"left by an earlier launch: {remedy}")


def host(
    environ: Mapping[str, str] = os.environ,
    interfaces: frozenset[str] | None = None,
    name: str | None = None,
) -> Iterator[Line]:
    """Checks that processes of this machine find each other.

    Args:
        environ: of this process.
        interfaces: names of those that there are; None: they are looked up.
        name: of the host; None: it is looked up.
    """
    if interfaces is None:
        interfaces = frozenset(one for _, one in socket.if_nameindex())
    known = ", ".join(sorted(interfaces))
    for variable in _INTERFACES:
        value = environ.get(variable, "")
        wanted = [one.lstrip("=") for one in value.split(",") if one and not one.startswith("^")]
        if wanted and not any(one.startswith(tuple(wanted)) for one in interfaces):
            remedy = f"unset {variable}, or name one of {known}"
            yield Line("interfaces", BAD, f"{variable}={value} names none of this machine", remedy)
    name = socket.gethostname() if name is None else name
    try:
        address = socket.gethostbyname(name)
    except (OSError, UnicodeError) as error:
        remedy = "add it to /etc/hosts: `127.0.0.1 NAME`; several processes meet by it"
        yield Line("host", LOOK, f"its own name has no address ({error})", remedy)
        return
    yield Line("host", FINE, f"its name leads to {_kind(address)}; interfaces: {known}")


def _kind(address: str) -> str:
    """Returns what an address is, without telling it."""
    return (
        "this machine itself (loopback)" if address.startswith("127.") else "an address of its own"
    )
