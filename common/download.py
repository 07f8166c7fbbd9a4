"""Downloads files: checked, continued after a break, and never used before they are complete."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, BinaryIO

from common.atomic_writing import publish, write_text
from common.errors import UserError
from common.reading import digest, read_text, sha256

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 30
_LARGEST = 8 << 30  # bytes, unless the caller expects fewer; a ViT-L's weights have 1.2e9
# PyTorch's habit: the name has the file's SHA-256, or its beginning. Eight digits without a letter
# are more likely a date.
_HASH_IN_NAME = re.compile(r"-((?=[0-9]*[a-f])[0-9a-f]{8,64})\.[a-z]+$")
_KINDS = {"md5": "MD5", "sha256": "SHA-256"}
_FORBIDDEN: ContextVar[bool] = ContextVar("downloads_forbidden", default=False)


@contextlib.contextmanager
def no_downloads() -> Iterator[None]:
    """Makes `fetch` refuse files that are not there already, until the context ends."""
    token = _FORBIDDEN.set(True)
    try:
        yield
    finally:
        _FORBIDDEN.reset(token)


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https addresses only: not to files, nor into an inner network."""

    def redirect_request(
        self,
        request: urllib.request.Request,
        answer: IO[bytes],
        code: int,
        message: str,
        headers: http.client.HTTPMessage,
        url: str,
    ) -> urllib.request.Request | None:
        if not url.startswith("https://"):
            raise OSError(f"the server sends one on to {url}")
        return super().redirect_request(request, answer, code, message, headers, url)


def open_address(request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    """Sends a request to a server and returns its answer, a file.

    Args:
        request: to an https address.
        timeout: in seconds.
    """
    return urllib.request.build_opener(_OnlyHttps).open(request, timeout=timeout)


def fetch(url: str, target: Path, md5: str = "", most: int = _LARGEST) -> Path:
    """Downloads `url` to `target` unless it is there already, and checks it.

    The file's SHA-256 is kept next to it, and compared each time the file is used again. After a
    failure the part that has arrived is kept (`.part`); the next call continues from there if the
    server can.

    Args:
        url: an `https` address.
        target: the file to write; it appears only when it is complete.
        md5: the publisher's MD5 in hexadecimal digits; empty when there is none.
        most: largest size in bytes; when a server sends more, nothing is kept.

    Raises:
        UserError: when downloads are forbidden, three attempts fail, the file is too large, or a
            checksum differs: the one in its name, in the server's answer, in `md5`, or from when it
            was downloaded.
    """
    if not target.is_file():
        if _FORBIDDEN.get():
            raise UserError(f"{target}: is not on this machine, and nothing is downloaded for this")
        if not url.startswith("https://"):
            raise UserError(f"{url}: only https addresses are downloaded")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target.parent / ".lock", "w", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # one of several processes downloads
                if not target.is_file():
                    _download(url, target, md5, most)
        except OSError as error:
            raise UserError(f"{target}: can't be written ({error.strerror or error})") from None
    check_md5(target, md5)
    note = _next_to(target, ".sha256")
    if note.is_file():
        noted = read_text(note).split()
        _compare(target, "sha256", noted[0] if noted else "nothing", f"{target} (noted beside it)")
    return target


def check_md5(path: Path, md5: str) -> Path:
    """Compares a file with its published MD5, if there is one; returns the path."""
    _compare(path, "md5", md5, str(path))
    return path


def note_sha256(content: Path, path: Path) -> None:
    """Notes the SHA-256 of `content` next to `path`, its later name, as `sha256sum` does."""
    found = sha256(content)
    write_text(_next_to(path, ".sha256"), f"{found}  {path.name}\n")
    print(f"sha256 {found}", flush=True)


def _next_to(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _compare(path: Path, algorithm: str, expected: str, name: str) -> None:
    """Compares a file with a checksum, or with its first digits; empty: any file is right."""
    found = digest(path, algorithm)[: len(expected)] if expected else ""
    if found != expected:
        raise UserError(
            f"{name}: {_KINDS[algorithm]} is {found}, expected {expected}; "
            "delete it and get it again"
        )


def part_of(target: Path) -> Path:
    """Returns where what has arrived of a file is kept, until it is whole."""
    return target.with_name(f".{target.name}.part")


def _download(url: str, target: Path, md5: str, most: int) -> None:
    part = part_of(target)
    print(f"downloading {url} to {target}", flush=True)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            announced = _continue(url, part, most)
            break
        except UserError:
            part.unlink(missing_ok=True)
            raise
        except (http.client.HTTPException, ValueError, OSError) as error:
            if getattr(error, "code", 0) == 416:  # what is here is no part of the file
                part.unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise UserError(
                    f"{url}: download failed ({error}); get the file by hand and give its path"
                ) from None
            time.sleep(attempt)
    try:
        _compare(part, "sha256", "".join(_HASH_IN_NAME.findall(url.split("?")[0])), url)
        _compare(part, "md5", announced, url)
        _compare(part, "md5", md5, url)
    except UserError:
        part.unlink()
        raise
    note_sha256(part, target)  # first: the file never exists without its note
    publish(part, target)
    _next_to(part, ".etag").unlink(missing_ok=True)


def _continue(url: str, part: Path, most: int) -> str:
    """Gets what is missing of a file.

    Returns:
        The MD5 that the server announces; empty when it announces none.

    Raises:
        OSError: when less arrives than was announced, or something that was not requested.
        UserError: when more than `most` bytes arrive.
    """
    tag = _next_to(part, ".etag")  # without it a download can't be continued
    have = part.stat().st_size if part.is_file() and tag.is_file() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": read_text(tag)} if have else {}
    request = urllib.request.Request(url, headers=headers)
    with open_address(request, timeout=_TIMEOUT_SECONDS) as answer:
        whole = answer.status != 206
        have = 0 if whole else have
        _check_answer(answer, have)
        if whole:
            tag.unlink(missing_ok=True)
        with open(part, "wb" if whole else "ab") as file:
            # A weak ETag (W/) does not promise the same bytes.
            if answer.headers.get("ETag", "W/").startswith('"'):
                write_text(tag, answer.headers["ETag"])
            _copy(answer, file, most, url)
        length, size = answer.headers.get("Content-Length"), part.stat().st_size
        if length is not None and size != have + int(length):
            raise OSError(f"{size} of {have + int(length)} bytes came")
        return _announced_md5(answer.headers)


def _check_answer(answer: http.client.HTTPResponse, have: int) -> None:
    """Checks that the body is the file itself, from byte `have` on."""
    if not answer.url.startswith("https://"):
        raise OSError(f"the server sends one on to {answer.url}")
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise OSError(f"the server packs the file by {encoding}, which was not asked for")
    sent = answer.headers.get("Content-Range", "")
    if answer.status == 206 and not sent.startswith(f"bytes {have}-"):
        raise OSError("the server sends another part of the file than was asked for")


def _copy(answer: http.client.HTTPResponse, file: BinaryIO, most: int, url: str) -> None:
    """Appends a body, which may have no end, to a file of at most `most` bytes.

    What has come is written at once, so that a server that stalls takes nothing back.
    """
    for chunk in iter(lambda: answer.read1(1 << 20), b""):
        if file.tell() + len(chunk) > most:
            raise UserError(f"{url}: more than {most} bytes come, too many for what it should be")
        file.write(chunk)


def _announced_md5(headers: http.client.HTTPMessage) -> str:
    """Returns the file's MD5 in hexadecimal digits, as Google's storage announces it, or ""."""
    md5 = re.search(r"(?:^|,)\s*md5=([^,]*)", headers.get("x-goog-hash", ""))
    return base64.b64decode(md5.group(1)).hex() if md5 else ""
