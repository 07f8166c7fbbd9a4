"""Downloads: whole, checked, or not there at all."""

from __future__ import annotations

import base64
import email
import hashlib
import io
import urllib.error
import urllib.request
import urllib.response

import pytest

from common import download
from common.errors import UserError

_URL = "https://example.org/weights.pdparams"
_CONTENT = bytes(range(100))


class _Answer(io.BytesIO):
    def __init__(self, body: bytes, status: int = 200, url: str = _URL, **headers: str):
        super().__init__(body)
        self.status, self.url = status, url
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def server(monkeypatch):
    """The answers or errors of the server, in order, and the headers of the requests."""
    answers, asked = [], []

    def urlopen(request, timeout):
        asked.append(request.headers)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(download, "open_address", urlopen)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return answers, asked


def _whole(**headers) -> _Answer:
    return _Answer(_CONTENT, **{"Content_Length": "100", **headers})


def _half(**headers) -> _Answer:
    return _Answer(_CONTENT[:50], **{"Content_Length": "100", **headers})


def test_a_good_download_and_its_cache(server, tmp_path):
    server[0].append(_whole())
    md5 = hashlib.md5(_CONTENT).hexdigest()
    path = download.fetch(_URL, tmp_path / "folder" / "file", md5)
    assert path.read_bytes() == _CONTENT
    assert download.fetch(_URL, path, md5) == path  # no second answer is there to be asked for
    assert (path.parent / "file.sha256").read_text().split() == [
        hashlib.sha256(_CONTENT).hexdigest(),
        "file",
    ]


def test_failures_are_tried_again(server, tmp_path):
    server[0].extend([urllib.error.URLError("refused"), _half(), _whole()])
    assert download.fetch(_URL, tmp_path / "file").read_bytes() == _CONTENT
    # Without an ETag nothing tells that it is the same file.
    assert [dict(headers) for headers in server[1]] == [{}] * 3


def test_it_goes_on_where_it_was_cut_off(server, tmp_path):
    rest = _Answer(
        _CONTENT[50:], 206, Content_Length="50", ETag='"v1"', Content_Range="bytes 50-99/100"
    )
    server[0].extend(
        [_half(ETag='"v1"'), urllib.error.URLError("refused"), urllib.error.URLError("refused")]
    )
    with pytest.raises(UserError, match="download failed"):
        download.fetch(_URL, tmp_path / "file")
    server[0].append(rest)
    assert download.fetch(_URL, tmp_path / "file").read_bytes() == _CONTENT
    assert dict(server[1][-1]) == {"Range": "bytes=50-", "If-range": '"v1"'}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "file", "file.sha256"]


def test_it_begins_anew_where_the_file_has_changed(server, tmp_path):
    # The second answer is 200, not 206: the whole of another version.
    server[0].extend([_half(ETag='"v1"'), _whole(ETag='"v2"')])
    assert download.fetch(_URL, tmp_path / "file").read_bytes() == _CONTENT


def test_a_weak_etag_does_not_promise_the_same_bytes(server, tmp_path):
    server[0].extend([_half(ETag='W/"v1"'), _whole(ETag='W/"v1"')])
    assert download.fetch(_URL, tmp_path / "file").read_bytes() == _CONTENT
    assert dict(server[1][-1]) == {}


def test_it_begins_anew_where_the_server_knows_no_such_part(server, tmp_path):
    unsatisfiable = urllib.error.HTTPError(_URL, 416, "Range Not Satisfiable", {}, None)
    server[0].extend([_half(ETag='"v1"'), unsatisfiable, _whole()])
    assert download.fetch(_URL, tmp_path / "file").read_bytes() == _CONTENT


def test_a_cut_off_download_is_not_taken_for_whole(server, tmp_path):
    server[0].extend([_half(), _half(), _half()])
    with pytest.raises(UserError, match="50 of 100 bytes came"):
        download.fetch(_URL, tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    ("url", "headers", "md5"),
    [
        (_URL, {}, "0123"),
        ("https://example.org/weights-0123abcd.pth", {}, ""),
        (_URL, {"x_goog_hash": f"crc32c=AAAA, md5={base64.b64encode(bytes(16)).decode()}"}, ""),
    ],
)
def test_a_wrong_checksum_leaves_nothing(server, tmp_path, url, headers, md5):
    server[0].append(_whole(**headers))
    with pytest.raises(UserError, match="expected 0"):
        download.fetch(url, tmp_path / "file", md5)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_right_checksums(server, tmp_path):
    digest = base64.b64encode(hashlib.md5(_CONTENT).digest()).decode()
    server[0].append(_whole(x_goog_hash=f"crc32c=AAAA,md5={digest}"))
    url = f"https://example.org/weights-{hashlib.sha256(_CONTENT).hexdigest()[:8]}.pth"
    assert download.fetch(url, tmp_path / "file").is_file()


def test_a_file_that_changed_in_the_cache_is_refused(server, tmp_path):
    server[0].append(_whole())
    path = download.fetch(_URL, tmp_path / "file")
    path.write_bytes(_CONTENT[:-1] + b"x")
    with pytest.raises(UserError, match="SHA-256 is .*delete it"):
        download.fetch(_URL, path)


def test_only_https(server, tmp_path):
    with pytest.raises(UserError, match="only https"):
        download.fetch("http://example.org/x", tmp_path / "file")
    server[0].extend(_whole(url="http://example.org/x") for _ in range(3))
    with pytest.raises(UserError, match="sends one on to http://"):
        download.fetch(_URL, tmp_path / "file")


def test_a_body_without_an_end_is_cut_off(server, tmp_path):
    class Endless(_Answer):
        def read1(self, count=-1):
            server[1].append(count)
            assert len(server[1]) < 20, "it would read on for ever"
            return bytes(count)

    server[0].append(Endless(b"", ETag='"v1"'))
    with pytest.raises(UserError, match="more than 5000000 bytes come"):
        download.fetch(_URL, tmp_path / "file", most=5_000_000)
    assert not [
        path for path in tmp_path.iterdir() if path.suffix == ".part" or path.name == "file"
    ]


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (200, {"Content_Encoding": "gzip"}, "packs the file by gzip"),
        (200, {"Content_Length": "-5"}, "of -5 bytes came"),
        (200, {"Content_Length": "many"}, "download failed"),
        (206, {"Content_Range": "bytes 7-99/100"}, "another part"),
        (206, {}, "another part"),
    ],
)
def test_answers_that_lie(server, tmp_path, status, headers, message):
    server[0].extend(_Answer(_CONTENT, status, **headers) for _ in range(3))
    with pytest.raises(UserError, match=message):
        download.fetch(_URL, tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://169.254.169.254/", "ftp://example.org/x", "data:,x"]
)
def test_no_way_leads_away_from_https(monkeypatch, tmp_path, target):
    """With the real opener: a redirect is not followed, so no other address is requested."""
    asked = []

    def answer(handler, request):
        asked.append(request.full_url)
        headers = email.message_from_string(f"Location: {target}\n\n")
        found = urllib.response.addinfourl(io.BytesIO(b""), headers, request.full_url, 302)
        found.msg = "Found"
        return found

    for handler in (urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
        monkeypatch.setattr(handler, f"{handler.__name__[:-7].lower()}_open", answer)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with pytest.raises(UserError, match="sends one on to|download failed"):
        download.fetch(_URL, tmp_path / "file")
    assert set(asked) == {_URL}
