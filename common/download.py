"""Downloads that are checked, resumed by being repeated, and never left half done."""

from __future__ import annotations

import fcntl
import http.client
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from common.errors import UserError
from common.files import atomic_path, digest, sha256

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 30


def fetch(url: str, target: Path, md5: str = "") -> Path:
    """Download `url` to `target` unless it is there already, and check it.

    Args:
        url: an `https` address.
        target: the file to write; it appears only when it is whole.
        md5: the publisher's MD5 in hexadecimal digits; empty where the publisher gives none.

    Raises:
        UserError: when it can't be had after three attempts, or its checksum differs.
    """
    if target.is_file():
        return check_md5(target, md5)
    if not url.startswith("https://"):
        raise UserError(f"{url}: only https addresses are downloaded")
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes that want it, one downloads
        if target.is_file():
            return target
        print(f"downloading {url} to {target}", flush=True)
        with atomic_path(target) as temporary:
            _download(url, temporary)
            check_md5(temporary, md5, name=url)
    print(f"sha256 {sha256(target)}", flush=True)
    return target


def check_md5(path: Path, md5: str, name: str = "") -> Path:
    """Compare a file with its published MD5 (none: anything goes)."""
    found = digest(path, "md5") if md5 else ""
    if found != md5:
        raise UserError(f"{name or path}: MD5 is {found}, expected {md5}; delete it and get it again")
    return path


def _download(url: str, path: Path) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer, open(path, "wb") as file:
                shutil.copyfileobj(answer, file, 1 << 20)
                announced = answer.headers.get("Content-Length")
            if announced is not None and path.stat().st_size != int(announced):
                raise OSError(f"{path.stat().st_size} of {announced} bytes came")
            return
        except (urllib.error.URLError, http.client.HTTPException, ValueError, OSError) as error:
            if attempt == _ATTEMPTS:
                raise UserError(f"{url}: download failed ({error}); get the file by hand and give its path") from None
            time.sleep(attempt)
