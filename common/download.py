"""Downloads that are checked, go on where they were cut off, and are never taken for whole when
they are not.
"""

from __future__ import annotations

import base64
import fcntl
import http.client
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from common.atomic_writing import publish, write_text
from common.errors import UserError
from common.files import digest, read_text, sha256

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 30
_LARGEST = 8 << 30  # bytes, unless the caller expects fewer; a ViT-L's weights have 1.2e9
# PyTorch's habit: the file's SHA-256, or how it begins. Eight digits are more likely a date.
_HASH_IN_NAME = re.compile(r"-((?=[0-9]*[a-f])[0-9a-f]{8,64})\.[a-z]+$")


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows a server to other https addresses only: not to files, nor into an inner network in
    clear text.
    """

    def redirect_request(self, request, answer, code, message, headers, url):
        if not url.startswith("https://"):
            raise OSError(f"the server sends one on to {url}")
        return super().redirect_request(request, answer, code, message, headers, url)


def open_address(request: urllib.request.Request, timeout: float):
    """Ask a server; gives its answer, a file."""
    return urllib.request.build_opener(_OnlyHttps).open(request, timeout=timeout)


def fetch(url: str, target: Path, md5: str = "", most: int = _LARGEST) -> Path:
    """Download `url` to `target` unless it is there already, and check it.

    Beside the file its SHA-256 is kept, with which it is compared whenever it is used again. What
    has come before a failure is kept, too (`.part`), and the next call goes on from there where the
    server can.

    Args:
        url: an `https` address.
        target: the file to write; it appears only when it is whole.
        md5: the publisher's MD5 in hexadecimal digits; empty where the publisher gives none.
        most: bytes that it may have at most; of a server that sends more, nothing is kept.

    Raises:
        UserError: when it can't be had after three attempts, is too large, or a checksum differs:
            that in its name, those in the server's answer, `md5`, or the one from when it was
            downloaded.
    """
    if not target.is_file():
        if not url.startswith("https://"):
            raise UserError(f"{url}: only https addresses are downloaded")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target.parent / ".lock", "w", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes that want it, one downloads
                if not target.is_file():
                    _get(url, target, md5, most)
        except OSError as error:
            raise UserError(f"{target}: can't be written ({error.strerror or error})") from None
    check_md5(target, md5)
    return check_sha256(target)


def check_md5(path: Path, md5: str, name: str = "") -> Path:
    """Compare a file with its published MD5 (none: anything goes)."""
    _compare(path, "md5", md5, name or str(path))
    return path


def check_sha256(path: Path) -> Path:
    """Compare a file with the SHA-256 that was noted beside it (none: anything goes)."""
    note = _note(path)
    if note.is_file():
        noted = read_text(note).split()
        _compare(path, "sha256", noted[0] if noted else "nothing", f"{path} (noted beside it)")
    return path


def note_sha256(content: Path, path: Path) -> None:
    """Note the SHA-256 of what is going to be `path` beside it, in the form of `sha256sum`."""
    found = sha256(content)
    write_text(_note(path), f"{found}  {path.name}\n")
    print(f"sha256 {found}", flush=True)


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _compare(path: Path, algorithm: str, expected: str, name: str) -> None:
    found = digest(path, algorithm)[: len(expected)] if expected else ""
    if found != expected:
        kind = {"md5": "MD5", "sha256": "SHA-256"}[algorithm]
        raise UserError(
            f"{name}: {kind} is {found}, expected {expected}; delete it and get it again"
        )


def _get(url: str, target: Path, md5: str, most: int) -> None:
    part = target.with_name(f".{target.name}.part")
    print(f"downloading {url} to {target}", flush=True)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            announced = _continue(url, part, most)
            break
        except UserError:
            part.unlink(missing_ok=True)
            raise
        except (urllib.error.URLError, http.client.HTTPException, ValueError, OSError) as error:
            if (
                isinstance(error, urllib.error.HTTPError) and error.code == 416
            ):  # what is here is no part of it
                part.unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise UserError(
                    f"{url}: download failed ({error}); get the file by hand and give its path"
                ) from None
            time.sleep(attempt)
    named = _HASH_IN_NAME.search(url.split("?")[0])
    try:
        for algorithm, expected in (
            ("sha256", named.group(1) if named else ""),
            ("md5", announced),
            ("md5", md5),
        ):
            _compare(part, algorithm, expected, url)
    except UserError:
        part.unlink()
        raise
    note_sha256(part, target)  # first, so that the file is never there without it
    publish(part, target)
    _tag(part).unlink(missing_ok=True)


def _tag(part: Path) -> Path:
    """Where the server's name for this version of the file is kept, without which a download can't
    go on.
    """
    return part.with_name(part.name + ".etag")


def _continue(url: str, part: Path, most: int) -> str:
    """Get what is missing of a file; gives the MD5 that the server announces, or nothing.

    Raises:
        OSError: when less came than was announced, or something else than was asked for.
        UserError: when more than `most` bytes come.
    """
    have = part.stat().st_size if part.is_file() and _tag(part).is_file() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": read_text(_tag(part))} if have else {}
    with open_address(
        urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS
    ) as answer:
        whole = answer.status != 206
        _check_answer(answer, 0 if whole else have)
        if whole:
            _tag(part).unlink(missing_ok=True)
        with open(part, "wb" if whole else "ab") as file:
            if answer.headers.get("ETag", "W/").startswith(
                '"'
            ):  # a weak one does not promise the same bytes
                write_text(_tag(part), answer.headers["ETag"])
            _copy(answer, file, most, url)
        announced = answer.headers.get("Content-Length")
        if announced is not None and part.stat().st_size != int(announced) + (0 if whole else have):
            raise OSError(
                f"{part.stat().st_size} of {int(announced) + (0 if whole else have)} bytes came"
            )
        return _announced_md5(answer.headers)


def _check_answer(answer, have: int) -> None:
    """See that the body is the file itself, from where it was cut off at `have` bytes."""
    if not answer.url.startswith("https://"):
        raise OSError(f"the server sends one on to {answer.url}")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise OSError(
            f"the server packs the file by {answer.headers['Content-Encoding']}, which was not asked for"
        )
    if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(
        f"bytes {have}-"
    ):
        raise OSError("the server sends another part of the file than was asked for")


def _copy(answer, file: BinaryIO, most: int, url: str) -> None:
    """Append a body that may have no end."""
    for chunk in iter(lambda: answer.read(1 << 20), b""):
        if file.tell() + len(chunk) > most:
            raise UserError(f"{url}: more than {most} bytes come, too many for what it should be")
        file.write(chunk)


def _announced_md5(headers) -> str:
    """The MD5 of the whole file, as Google's store announces it; in hexadecimal digits."""
    google = [
        part.strip()[4:]
        for part in headers.get("x-goog-hash", "").split(",")
        if part.strip().startswith("md5=")
    ]
    return base64.b64decode(google[0]).hex() if google else ""
