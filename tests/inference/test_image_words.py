"""What the words of a command line mean: folders, patterns, lists, addresses, standard input."""

from __future__ import annotations

import http.server
import io
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from conftest import paint

from common.errors import UserError
from inference import image_words


@pytest.fixture
def photos(tmp_path):
    return paint(tmp_path / "my photos", 2, 2)


def _names(found) -> list[str]:
    return [str(one) if isinstance(one, UserError) else one.name for one in found]


def test_words_in_their_order(photos, tmp_path):
    image, other = photos / "class_1" / "001.png", photos / "class_0" / "000.png"
    (photos / "[a].png").write_bytes(b"x")
    words = [str(image), str(photos / "class_0"), f"{photos}/*/000.png", f"{photos}/[a].png"]
    found = _names(image_words.find(words))
    firsts = [str(photos / name / "000.png") for name in ("class_0", "class_1")]
    below = [str(other), str(other.with_name("001.png"))]
    assert found == [str(image), *below, *firsts, f"{photos}/[a].png"]
    (tmp_path / "empty").mkdir()
    errors = list(image_words.find([f"{tmp_path}/*.gif", str(tmp_path / "empty"), "absent.png"]))
    assert [isinstance(one, UserError) for one in errors] == [True, True, False]
    assert "no images there" in str(errors[0])
    assert errors[2].image == Path("absent.png")  # an error when it is read


def test_a_list(photos, tmp_path, monkeypatch):
    """With classes behind the paths or without; from the working folder, or that of the list."""
    lines = [
        "class_0/000.png",
        "class_0/001.png 0",
        "class_1/000.png\tdog",
        f"{photos}/class_1/001.png",
        "",
        "absent 1.png",
    ]
    (photos / "list.txt").write_text("\r\n".join(lines), encoding="utf-16")
    found = _names(image_words.find_listed(photos / "list.txt"))
    names = [photos / f"class_{number // 2}" / f"00{number % 2}.png" for number in range(4)]
    assert found == [*map(str, names), "absent 1.png"]
    monkeypatch.chdir(photos)
    found = _names(image_words.find_listed(photos / "list.txt"))
    assert found[0] == "class_0/000.png"
    assert "no such file" in _names(image_words.find_listed(tmp_path / "absent.txt"))[0]
    (tmp_path / "empty.txt").write_text("\n\n")
    assert "without a path" in _names(image_words.find_listed(tmp_path / "empty.txt"))[0]


@pytest.mark.parametrize("end", ["", "\n"])
def test_paths_on_standard_input(photos, monkeypatch, end):
    paths = [str(photos / "class_0" / f"00{number}.png") for number in range(2)]
    _type("\n".join(paths).encode() + end.encode(), monkeypatch)
    assert _names(image_words.find(["-"])) == paths


def test_an_image_on_standard_input(photos, monkeypatch):
    content = (photos / "class_0" / "000.png").read_bytes()
    _type(content, monkeypatch)
    assert list(image_words.find(["-"])) == [("-", content, "standard_input.png")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "without a path"),
        (b"<html>404", "standard input is a web page"),
        (b"\xff\xfe\x00\xd8\xff", "not readable as text"),
    ],
)
def test_nothing_useful_on_standard_input(monkeypatch, content, message):
    _type(content, monkeypatch)
    (found,) = image_words.find(["-"])
    assert isinstance(found, UserError)
    assert message in str(found)


def _type(content: bytes, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_an_address(photos):
    """Its bytes, or an error in its place that names it; the others are not lost."""
    handler = partial(_Silent, directory=str(photos))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        words = [f"{place}/class_0/000.png?size=1", f"{place}/absent.png", f"{place}/"]
        found = [image_words.fetched(one) for one in image_words.find(words)]
        server.shutdown()
    content = (photos / "class_0" / "000.png").read_bytes()
    assert found[0] == (words[0], content, "000.png")
    assert isinstance(found[1], UserError)
    assert f"{words[1]}: can't be downloaded (HTTP Error 404" in str(found[1])
    assert found[2].file_name == "image"
    closed = image_words.fetched(next(image_words.find([words[0]])))
    assert "can't be downloaded" in str(closed)
    kept = UserError("x")
    assert image_words.fetched(kept) is kept


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass
