"""Show what trained weights do, on a page in the browser.

    python -m tools.demo --weights output/digits_rdrop
    python -m tools.demo --weights output/digits_rdrop --port 8080 --lang zh

Drop a picture on the page: it shows the five most likely classes, where the model looked (attention
rollout, or Grad-CAM for Swin and convolutional networks), and how far 20 passes with dropout agree.
Test images of the run are offered, where its data is there. The page loads nothing from outside,
and pictures stay on this machine. Ctrl-C ends it. Needs gradio, of requirements-extras.txt.
"""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import socket
import tempfile
import threading
from typing import Any

from common.errors import UserError
from program import exits, paddle_setup, tool_arguments

_LARGEST_UPLOAD = "64mb"


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.demo", __doc__)
    add = parser.add_argument
    add("--weights", required=True, help="a weights file that this project wrote, or its run")
    add("--port", type=int, default=7860, help="0 for any that is free (default 7860)")
    add("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in (default 127.0.0.1)")
    add("--lang", choices=("en", "zh"), default="en", help="the language that it begins with")
    add("--no_examples", action="store_true", help="offer no test images")
    add(
        "--share",
        choices=("never", "always"),
        default="never",
        help="whether Gradio also makes a public address, through its servers (default never)",
    )
    return parser.parse_args()


def free_port(host: str, port: int) -> int:
    """Returns a port that can be listened on: the given one, or for 0 any.

    Raises:
        UserError: when it can't be.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port is {port}, expected 0 to 65535")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
            return int(tried.getsockname()[1])
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"port {port} of {host} can't be used ({reason}): give another --port, or 0 for any"
        ) from None


def serve(page: Any, host: str, port: int, share: bool) -> None:
    """Serves a page until SIGINT or SIGTERM.

    Raises:
        UserError: when the port has been taken in the meantime.
    """
    # A proxy of the system must not stand between Gradio and its own page.
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))
    wanted = {
        "server_name": host,
        "server_port": port,
        "share": share,
        "quiet": True,
        "prevent_thread_lock": True,
        "inbrowser": False,
        "ssr_mode": False,
        "max_file_size": _LARGEST_UPLOAD,
        "footer_links": [],
        "run_history": False,
    }
    known = inspect.signature(page.launch).parameters  # they differ between versions
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        page.launch(**{name: value for name, value in wanted.items() if name in known})
    except OSError as error:
        raise UserError(f"port {port} of {host} can't be used ({error})") from None
    try:
        public = f", and at {page.share_url}" if getattr(page, "share_url", None) else ""
        shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
        print(f"the page is at http://{shown}:{port}{public}; Ctrl-C ends it", flush=True)
        ended.wait()
    finally:
        page.close(verbose=False)


def main() -> int:
    """Serves the page of the command line; returns the exit code."""
    arguments = _arguments()
    port = free_port(arguments.host, arguments.port)
    with tempfile.TemporaryDirectory(prefix="demo-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("GRADIO_TEMP_DIR", folder)  # pictures that are dropped
        paddle_setup.load_paddle()
        from inference.demo.page import build, gradio

        gradio()  # before the weights, which take longer
        page = build(arguments.weights, arguments.lang, not arguments.no_examples)
        serve(page, arguments.host, port, arguments.share == "always")
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
