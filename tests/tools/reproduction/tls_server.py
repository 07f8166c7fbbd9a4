"""A local https server that cuts, stalls and lies, for the tests of downloads."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class Server:
    """Serves one file; each answer behaves as the next word of `script` says, then `good`.

    good    the whole file, or the part that is asked for
    cut     half of what is announced, then the connection ends
    stall   half of what is announced, then nothing more
    short   less than the file, announced as the whole of it
    long    more than the file, announced as such
    wrong   as many bytes as the file has, but others
    nothing the connection ends before an answer
    """

    def __init__(self, content: bytes):
        self.content, self.script = content, list[str]()
        self.asked: list[str] = []  # the Range header of each request
        self.released = threading.Event()  # ends what stalls
        self.port = 0

    @property
    def address(self) -> str:
        """Where the file is."""
        return f"https://localhost:{self.port}/file.bin"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answers a request."""
        how = self.script.pop(0) if self.script else "good"
        wanted = handler.headers.get("Range", "")
        self.asked.append(wanted)
        if how == "nothing":
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = self.content[start:]
        body = {
            "short": body[: len(body) // 2],
            "long": body + b"x" * 1000,
            "wrong": b"x" * len(body),
        }.get(how, body)
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", '"v1"')
        handler.send_header("Content-Length", str(len(body)))
        if start:
            whole = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        handler.end_headers()
        sent = body[: len(body) // 2] if how in ("cut", "stall") else body
        with contextlib.suppress(OSError):
            handler.wfile.write(sent)
            handler.wfile.flush()
        if how == "stall":
            self.released.wait()


def _certificate(folder: Path) -> Path:
    """Makes a certificate for `localhost`, with its key in the same file."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed for a certificate")
    path = folder / "both.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    keys = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(path), "-out", str(folder / "c.pem")]
    command = ["openssl", "req", "-x509", "-days", "3650", *keys, *subject]
    subprocess.run(command, check=True, capture_output=True)
    with open(path, "a", encoding="ascii") as file:
        file.write((folder / "c.pem").read_text(encoding="ascii"))
    return path


@contextlib.contextmanager
def serving(content: bytes, folder: Path) -> Iterator[tuple[Server, Path]]:
    """Yields a server that runs while the block lasts, and the certificate to trust."""
    server = Server(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *words) -> None:
            pass

    certificate = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("localhost", 0), Handler) as listening:
        listening.daemon_threads = True
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield server, folder / "c.pem"
        finally:
            server.released.set()
            listening.shutdown()
            thread.join()
