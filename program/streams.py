"""Makes standard output and error ones that can't end a program; names may be in any language.

Letters that the encoding lacks are written as escapes. What goes to a terminal that was closed is
dropped. So is what goes to a pipe whose reader is gone, once a stop was requested: a signal to a
group of processes (Ctrl-C, a closed terminal) also ends the `tee` that reads our output.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import stat
import sys
from typing import Any

_stop_requested = False


def prepare() -> None:
    """Replaces both streams, unless something else (a notebook, a test) has replaced them.

    Where the names of files are not UTF-8 for Python (`LC_ALL=C` with `PYTHONUTF8=0`, or an old
    locale), the program first starts itself again in Python's UTF-8 mode: a name of another
    language in a config could not be opened.
    """
    if sys.stdout is sys.__stdout__ and sys.getfilesystemencoding().lower() != "utf-8":
        _start_again_in_utf8_mode()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            stream.flush()
            setattr(sys, name, _lasting(stream))


def _start_again_in_utf8_mode() -> None:
    environment = {**os.environ, "PYTHONUTF8": "1"}
    encoding = getattr(sys.stdout, "encoding", "ascii")
    if "ascii" not in codecs.lookup(encoding).name:  # what the terminal shows stays as it is
        environment.setdefault("PYTHONIOENCODING", encoding)
    module = getattr(sys.modules["__main__"], "__spec__", None)
    words = ["-m", module.name, *sys.argv[1:]] if module else sys.argv
    words = getattr(sys, "orig_argv", ["", *words])[1:]  # Python 3.9 has none
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *words], environment)


def note_stop() -> None:
    """Notes that a stop was requested: from now on a reader that is gone is no error."""
    global _stop_requested
    _stop_requested = True


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    raw = _LastingFile(stream.fileno())
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _LastingFile(io.FileIO):
    """The file of a stream, which goes on without its reader.

    Args:
        descriptor: of the stream; it stays open.
    """

    def __init__(self, descriptor: int):
        super().__init__(descriptor, "w", closefd=False)
        self._is_terminal = stat.S_ISCHR(os.fstat(descriptor).st_mode)

    def write(self, content: Any) -> int:
        """Writes bytes, or drops them where nobody can read them any more."""
        try:
            return super().write(content)
        except OSError as error:
            hung_up = self._is_terminal and error.errno == errno.EIO
            if not hung_up and not (_stop_requested and error.errno == errno.EPIPE):
                raise
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(content).nbytes
