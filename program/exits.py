"""How a program ends: its exit code, and every error as one line."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from absl import app, logging

from common.errors import UserError
from program.signals import Stopped

DONE, FAILED_EXPECTATION, BAD_INPUT, FAULT, STOPPED = 0, 1, 2, 70, 75
# What a disk or a quota answers, anywhere in a run.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# What a path of the user's can be refused for; other errors (of a disk, of a network) may pass.
_REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)


def run(main: Callable[[Sequence[str]], int], parser: Callable[[Sequence[str]], list[str]]) -> None:
    """Run a program: `parser` reads the flags, `main` gives the exit code, and a `UserError`
    becomes one line.
    """
    logging.set_verbosity(logging.WARNING)  # libraries report on fonts and the like
    try:
        run_tool(lambda: app.run(main, flags_parser=parser))
    except SystemExit as end:
        asked_for_help = {"--help", "--helpfull", "--helpshort"} & set(sys.argv)
        sys.exit(DONE if asked_for_help else end.code)  # absl exits with 1 after its help


def run_tool(main: Callable[[], int]) -> None:
    """Run a tool that reads its own command line; a `UserError` becomes one line, a fault has a
    code of its own.
    """
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(_refuse(str(error)))
    except MemoryError:
        sys.exit(_refuse("the memory is not enough: set a smaller batch size, image size or model"))
    except Stopped as stop:
        print(
            f"stopped ({stop}) before the first step; the same command goes on",
            file=sys.stderr,
            flush=True,
        )
        sys.exit(STOPPED)
    except BrokenPipeError:  # the reader of a pipe, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        sys.exit(_tell_fault(error))


def _tell_fault(error: Exception) -> int:
    """A file that the system refuses is one line; any other fault shows where it is, and has a code
    of its own.
    """
    number, place = getattr(error, "errno", None), getattr(error, "filename", None)
    if (
        not isinstance(error, OSError)
        or number not in (*_FULL, *_REFUSED)
        or not (place or number in _FULL)
    ):
        traceback.print_exc()
        return FAULT
    remedy = (
        "make room, and the same command goes on"
        if number in _FULL
        else "give another path, or mend this one"
    )
    return _refuse(f"{error.strerror}{f' ({place})' if place else ''}: {remedy}")


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return BAD_INPUT
