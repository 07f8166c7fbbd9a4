"""Downloads: whole, checked, or not there at all."""

from __future__ import annotations

import hashlib
import io
import urllib.error

import pytest

from common import download
from common.errors import UserError

_URL = "https://example.org/weights.pdparams"


@pytest.fixture
def server(monkeypatch):
    """What the server answers with: a list of bodies, each with the length that it announces, or errors."""
    answers = []

    class Answer(io.BytesIO):
        def __init__(self, body: bytes, announced: int):
            super().__init__(body)
            self.headers = {"Content-Length": str(announced)}

    def urlopen(url, timeout):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(*answer)

    monkeypatch.setattr(download.urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return answers


def test_a_good_download_and_its_cache(server, tmp_path):
    server.append((b"content", 7))
    md5 = hashlib.md5(b"content").hexdigest()
    path = download.fetch(_URL, tmp_path / "folder" / "file", md5)
    assert path.read_bytes() == b"content"
    assert download.fetch(_URL, path, md5) == path  # no second answer is there to be asked for


def test_failures_are_tried_again(server, tmp_path):
    server.extend([urllib.error.URLError("refused"), (b"cont", 7), (b"content", 7)])
    assert download.fetch(_URL, tmp_path / "file").read_bytes() == b"content"


def test_a_cut_off_download_leaves_nothing(server, tmp_path):
    server.extend([(b"cont", 7)] * 3)
    with pytest.raises(UserError, match="4 of 7 bytes came"):
        download.fetch(_URL, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    server.append((b"content", 7))
    with pytest.raises(UserError, match="expected 0123"):
        download.fetch(_URL, tmp_path / "file", md5="0123")
    assert not (tmp_path / "file").exists()


def test_only_https(tmp_path):
    with pytest.raises(UserError, match="only https"):
        download.fetch("http://example.org/x", tmp_path / "file")
