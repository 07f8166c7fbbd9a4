"""How a program ends: its exit code, and every error as one line."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from common.errors import UserError
from program import streams
from program.signals import Stopped

DONE, FAILED_EXPECTATION, BAD_INPUT, FAULT, STOPPED = 0, 1, 2, 70, 75
# What the system answers when a disk or a quota is full, anywhere in a run.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Why the system refuses a path that the user gave. Other errors (disk, network) may pass.
_REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)


def run(main: Callable[[Sequence[str]], int], parser: Callable[[Sequence[str]], list[str]]) -> None:
    """Runs a program that has absl flags, and exits with its code.

    Args:
        main: returns the exit code.
        parser: reads the flags.
    """
    from absl import app, logging  # here, so that a tool without flags starts where it is missing

    logging.set_verbosity(logging.WARNING)  # libraries report on fonts and the like
    try:
        run_tool(lambda: app.run(main, flags_parser=parser))
    except SystemExit as end:
        asked_for_help = {"--help", "--helpfull", "--helpshort"} & set(sys.argv)
        sys.exit(DONE if asked_for_help else end.code)  # absl exits with 1 after its help


def run_tool(main: Callable[[], int]) -> None:
    """Runs a tool that reads its own command line, and exits with its code.

    A `UserError` becomes one line; a fault of the program has an exit code of its own.
    """
    streams.prepare()
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(_refuse(str(error)))
    except MemoryError:
        sys.exit(_refuse("the memory is not enough: set a smaller batch size, image size or model"))
    except Stopped as stop:
        _say(f"stopped ({stop}) before the first step; the same command goes on")
        sys.exit(STOPPED)
    except BrokenPipeError:  # the program that reads our output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        sys.exit(_fault(error))


def _fault(error: Exception) -> int:
    """Prints a fault, and returns its exit code.

    A path that the system refuses, or a full disk, is bad input: one line. Any other fault has a
    traceback.
    """
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        if error.errno in _FULL:
            return _refuse(f"{error.strerror}{place}: make room, and the same command goes on")
        if error.errno in _REFUSED and place:
            return _refuse(f"{error.strerror}{place}: give another path, or mend this one")
    traceback.print_exc()
    return FAULT


def _refuse(message: str) -> int:
    _say(f"error: {message}")
    return BAD_INPUT


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
