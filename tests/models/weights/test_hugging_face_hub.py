"""Weights at Hugging Face: downloaded by its package, or taken from its cache without it."""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import models
from common.errors import UserError
from models.weights.sources import hugging_face_hub, locations

_COMMIT = "0123456789abcdef" * 2 + "01234567"
_INDEX = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


def _cached(hub, repository, files):
    """Writes a repository as Hugging Face's cache has it."""
    place = hub / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(_COMMIT)
    folder = place / "snapshots" / _COMMIT
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def test_the_cache_is_used_without_the_package(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    folder = _cached(home / ".cache/huggingface/hub", "google/vit", {"model.safetensors": "x"})
    assert models.locate("hf/google/vit") == folder
    assert not models.needs_download("hf/google/vit")
    assert models.needs_download("hf/google/other")
    with pytest.raises(UserError, match=r"pip install huggingface_hub.*extras"):
        models.locate("hf/google/other")


@pytest.mark.parametrize("name", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_cache_lies_where_the_user_says(home, monkeypatch, name):
    monkeypatch.setenv(name, str(home / "mine"))
    place = home / "mine" / ("hub" if name == "HF_HOME" else "")
    folder = _cached(place, "timm/vit_x.tag", {"model.safetensors": "x"})
    assert models.locate("timm/vit_x.tag") == folder
    assert models.locate("hf/timm/vit_x.tag@main") == folder
    assert models.locate(f"hf/timm/vit_x.tag@{_COMMIT}") == folder


def test_half_a_repository_does_not_count(home):
    files = {"model.safetensors.index.json": json.dumps(_INDEX), "one.safetensors": "x"}
    folder = _cached(home / ".cache/huggingface/hub", "a/b", files)
    assert models.needs_download("hf/a/b")
    (folder / "two.safetensors").write_text("y")
    assert not models.needs_download("hf/a/b")


@pytest.mark.parametrize("part", ["../secret", "/etc/passwd", "", ".."])
def test_an_index_names_files_beside_it_only(home, part):
    index = {"weight_map": {"a": part}}
    files = {"model.safetensors.index.json": json.dumps(index)}
    _cached(home / ".cache/huggingface/hub", "a/b", files)
    with pytest.raises(UserError, match="names .* which is no file beside it"):
        models.needs_download("hf/a/b")


@pytest.mark.parametrize("source", ["hf/vit", "hf/a/b/c", "hf/../b", "hf/a/b c"])
def test_what_is_no_repository(source):
    if source == "hf/../b":
        assert models.needs_download(source)  # a name of dots is asked for, not followed
        return
    with pytest.raises(UserError, match="expected hf/OWNER/NAME"):
        models.locate(source)


def test_torch_hubs_cache(home, monkeypatch):
    checkpoints = home / ".cache/torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "dinov2_vits14_pretrain.pth").write_bytes(b"weights")
    (checkpoints / "model.pth").write_bytes(b"of another model")
    monkeypatch.setattr(locations, "fetch", lambda url, target, *_, **__: target)
    kept = models.locate("https://host/dinov2/dinov2_vits14_pretrain.pth")
    assert kept.read_bytes() == b"weights"
    assert not models.locate("https://host/model.pth").exists()


class _Server(BaseHTTPRequestHandler):
    """A mirror of one public repository, of one that needs leave, and of nothing else."""

    files: dict[str, bytes] = {}  # noqa: RUF012 (set once by the test)
    asked: list[tuple[str, str]] = []  # noqa: RUF012

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        owner, _, rest = self.path.lstrip("/").partition("/")
        content = self.files.get(rest.rpartition("/")[2])
        code, error = (200, "") if content is not None else (404, "EntryNotFound")
        if owner != "open":
            code, error, content = 401, "GatedRepo" if owner == "gated" else "RepoNotFound", None
        self.send_response(code)
        self.send_header("X-Repo-Commit", _COMMIT)
        self.send_header("ETag", f'"{rest.rpartition("/")[2]}"')
        self.send_header("Content-Length", str(len(content or b"")))
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if body and content:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(home, monkeypatch):
    """A running mirror; its files can be set."""
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", address)  # read when the package is loaded first
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    rest = template.split("/", 3)[3] if "://" in template else template
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{rest}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / ".cache/huggingface/hub"))
    _Server.files, _Server.asked = {}, []
    yield _Server
    server.shutdown()


def test_a_mirror(mirror):
    mirror.files = {"config.json": b"{}", "model.safetensors": b"weights"}
    folder = hugging_face_hub.get_folder("open/vit")
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert (folder / "config.json").read_bytes() == b"{}"
    asked = len(mirror.asked)
    assert hugging_face_hub.get_folder("open/vit") == folder
    assert len(mirror.asked) == asked, "what is here is not asked for again"


def test_a_mirror_with_shards(mirror):
    mirror.files = {
        "model.safetensors.index.json": json.dumps(_INDEX).encode(),
        "one.safetensors": b"1",
        "two.safetensors": b"2",
    }
    folder = hugging_face_hub.get_folder("open/vit")
    assert (folder / "two.safetensors").read_bytes() == b"2"


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("open/nothing", "has none of model.safetensors"),
        ("gated/vit", "needs leave.*HF_TOKEN"),
        ("private/vit", "is not there, or is private.*HF_TOKEN"),
    ],
)
def test_refusals_are_one_line(mirror, repository, words):
    with pytest.raises(UserError, match=words) as caught:
        hugging_face_hub.get_folder(repository)
    assert "\n" not in str(caught.value)


def test_without_a_network(mirror, monkeypatch):
    from huggingface_hub import constants

    nowhere = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the attempts
    with pytest.raises(UserError, match=r"download failed.*hf-mirror\.com"):
        hugging_face_hub.get_folder("open/vit")
