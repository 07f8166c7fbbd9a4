"""Where weights come from, and what their sources say about the images that they expect."""

from __future__ import annotations

import json
import os

import paddle
import pytest

import models
from common.errors import UserError
from common.reading import sha256
from models.input_images import IMAGENET_MEAN, IMAGENET_STD
from models.weights.sources import locations, published

_STATED = {
    "mean": [0.1, 0.2, 0.3],
    "std": [0.4, 0.5, 0.6],
    "crop_fraction": 0.8,
    "interpolation": "bilinear",
}
_FIELDS = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 0.8, "bilinear")


def _write(path, own: dict | None):
    models.write_arrays(path, {"w": models.create("vit_n_2").cls_token.numpy()}, own)
    return str(path)


def test_what_our_files_say_of_their_input(tmp_path):
    path = _write(tmp_path / "w.safetensors", {"input": _STATED})
    assert models.input_stats("vit_b_16", path) == _FIELDS


@pytest.mark.parametrize("nested", [False, True])
def test_timms_config_beside_the_file(tmp_path, nested):
    path = _write(tmp_path / "model.safetensors", None)
    assert models.input_stats("vit_b_16", path) == models.input_stats("vit_b_16")
    stated = {
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "crop_pct": 0.8,
        "interpolation": "bilinear",
    }
    content = {"architecture": "x", "pretrained_cfg": stated} if nested else stated
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert models.input_stats("vit_b_16", path) == _FIELDS
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert models.input_stats("vit_b_16", path) == models.input_stats("vit_b_16")


def test_the_file_counts_not_the_name_of_its_folder(tmp_path, monkeypatch):
    """Folders with the names of hosts, and addresses with a query."""
    monkeypatch.chdir(tmp_path)
    for host in ("timm", "google"):
        (tmp_path / host).mkdir()
        path = _write(tmp_path / host / "w.safetensors", {"input": _STATED})
        assert (
            models.input_stats("vit_b_16", f"{host}/w.safetensors")
            == models.input_stats("vit_b_16", path)
            == _FIELDS
        )
    google = models.input_stats("vit_b_16", "google/imagenet21k/ViT-B_16")
    assert models.input_stats("vit_b_16", "https://host/ViT-B_16.npz?generation=1") == google
    monkeypatch.setattr(
        locations, "fetch", lambda url, target, md5="", **_: tmp_path / "timm" / "w.safetensors"
    )
    assert models.input_stats("vit_b_16", "https://host/model.safetensors?download=true") == _FIELDS


@pytest.mark.parametrize(
    "text", ["[" * 200000, "", "[]", "{", '{"crop_pct": 1}', '{"pretrained_cfg": 3}']
)
def test_a_damaged_config_beside_the_file(tmp_path, text):
    path = _write(tmp_path / "model.safetensors", None)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match="config.json"):
        models.input_stats("vit_b_16", path)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [1, 2]},
        {"mean": "555"},
        {"mean": [10**400, 1, 1]},
        {"std": [0, 1, 1]},
        {"std": "abc"},
        {"crop_fraction": None},
        {"mean": [1, 2, 1e400]},
        {"interpolation": "nearest"},
        {"crop_fraction": 0},
    ],
)
def test_a_file_that_says_nonsense(tmp_path, change):
    path = _write(tmp_path / "w.safetensors", {"input": {**_STATED, **change}})
    with pytest.raises(UserError, match="what it says of its input"):
        models.input_stats("vit_b_16", path)


def test_what_models_and_hosts_expect(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models.input_stats("vit_b_16_384").mean == (0.5, 0.5, 0.5)
    assert models.input_stats("deit_s", "deit_s") == (
        IMAGENET_MEAN,
        IMAGENET_STD,
        224 / 248,
        "bicubic",
    )
    for source in ("google/imagenet21k/ViT-B_16", "ViT-B_16.npz"):
        assert models.input_stats("vit_b_16", source) == ((0.5,) * 3, (0.5,) * 3, 1.0, "bilinear")


def test_timms_host_is_asked_for_both_files(tmp_path, monkeypatch):
    asked = []

    def fetch(url, target, md5="", **_):
        asked.append(url)
        (tmp_path / "config.json").write_text(
            json.dumps({"pretrained_cfg": {**_STATED, "crop_pct": 0.8, "tag": "augreg"}})
        )
        return tmp_path / "config.json"

    monkeypatch.setenv("HOME", str(tmp_path))

    monkeypatch.setattr(locations, "fetch", fetch)
    assert models.input_stats("vit_b_16", "timm/vit_base_patch16_224.augreg_in21k") == _FIELDS
    models.locate("timm/vit_base_patch16_224.augreg_in21k")
    models.locate("google/imagenet21k+imagenet2012/ViT-B_16")
    hub = "https://huggingface.co/timm/vit_base_patch16_224.augreg_in21k/resolve/main"
    google = "https://storage.googleapis.com/vit_models/imagenet21k+imagenet2012/ViT-B_16.npz"
    assert asked == [f"{hub}/config.json", f"{hub}/model.safetensors", google]


def test_a_name_that_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in ("vit_base_patch16_224.augreg_in21k", "swin_l_384", "nonsense"):
        with pytest.raises(UserError, match=r"not known to PPIM.*timm/NAME.TAG"):
            models.locate(source)


def test_a_name_s_download_keeps_its_ending():
    for name in ("deit_b_distilled_384", "cait_s_36_384", "resnet_50", "rexnet_1_0"):
        assert locations.kept_path(locations.address_of(name).url).suffix == ".pdparams", name
    assert locations.kept_path("https://host/a/model.safetensors?download=true").name.endswith(
        "-model.safetensors"
    )


def test_published_weights_have_models():
    assert set(published._TIMM) | set(published._GOOGLE) <= set(models.MODELS)
    assert published.sources("vit_base_patch32_clip_quickgelu_224")[-1] == (
        "timm/vit_base_patch32_clip_224.openai"
    )
    assert published.sources("vit_s_8") == ["timm/vit_small_patch8_224.dino"]
    assert published.sources("vit_n_2") == []
    assert published.sources("deit_b")[0] == "deit_b"
    for name in models.MODELS:
        for source in published.sources(name):
            assert locations.address_of(source).url.startswith("https://")


def test_ppim_names_use_paddles_cache(tmp_path, monkeypatch):
    """A file that Paddle has downloaded is found under Paddle's name for it.

    It is taken over and checked.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    source = models.create("deit_ti")
    from ppim.models.deit import urls

    folder = tmp_path / ".cache/paddle/hapi/weights"
    folder.mkdir(parents=True)
    assert models.needs_download("deit_ti")
    theirs = folder / urls["deit_ti"].rsplit("/", 1)[-1]
    paddle.save(source.state_dict(), str(theirs))
    assert not models.needs_download("deit_ti")
    report = models.load_weights(models.create("deit_ti", num_classes=100), "deit_ti")
    assert report.dropped == ["head.weight", "head.bias"]
    theirs.unlink()
    ours = models.locate("deit_ti")
    assert ours.with_name(ours.name + ".sha256").read_text().startswith(sha256(ours))
    ours.write_bytes(ours.read_bytes()[:-1])
    with pytest.raises(UserError, match="SHA-256 is"):
        models.load_weights(source, "deit_ti")
    with pytest.raises(UserError, match="did you mean 'deit_ti'"):
        models.load_weights(source, "deit_tiny")


def test_a_copy_is_taken_where_a_second_name_can_not_be_given(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("another disk")))
    name = locations.address_of("resnet_18").url.rsplit("/", 1)[-1]
    theirs = tmp_path / ".cache/paddle/hapi/weights" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"weights")
    with pytest.raises(UserError, match="MD5 is"):  # Paddle publishes that of its own file
        models.locate("resnet_18")


def test_the_name_of_published_weights_says_what_no_array_shows(tmp_path, monkeypatch):
    """OpenAI's CLIP needs QuickGELU, also where timm's name of the model does not say so."""
    monkeypatch.setenv("HOME", str(tmp_path))
    model = models.create("vit_n_8", image_size=32, norm_pre=True, patch_bias=False)
    kept = tmp_path / "w.safetensors"
    models.write_arrays(kept, {name: one.numpy() for name, one in model.state_dict().items()}, None)
    monkeypatch.setattr(locations, "fetch", lambda *_, **__: kept)
    openai = models.read_weights("timm/vit_base_patch16_clip_224.openai").description
    assert openai.parts["activation"] == "quick_gelu"
    assert (openai.parts["norm_epsilon"], openai.parts["heads"]) == (1e-5, 12)
    laion = models.read_weights("timm/vit_base_patch16_clip_224.laion2b").description
    assert laion.parts["activation"] == "gelu"
    assert models.read_weights(str(kept)).description.parts == {}


def test_the_cache_of_a_repository_stands_for_its_newest_version(tmp_path):
    for name in ("blobs", "refs", "snapshots/abc", "snapshots/abd"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "refs" / "main").write_text("abc")
    assert models.locate(str(tmp_path)) == tmp_path / "snapshots" / "abc"
    (tmp_path / "refs" / "main").unlink()
    assert models.locate(str(tmp_path)) == tmp_path / "snapshots" / "abd"
