"""The names of each library: written down by hand, they load into the same model."""

from __future__ import annotations

import numpy as np
import pytest
from names_by_hand import SWINS, VITS, theirs

import models
from common.errors import UserError
from models.builders import Head
from models.families.swin import Swin
from models.layers.dropout import DropRates
from models.weights.names import layouts
from models.weights.names.translate import to_timm


def _vit(distilled: bool = False):
    name = "vit_n_8_distilled" if distilled else "vit_n_8"
    return models.create(name, num_classes=5, image_size=32)


def _swin() -> Swin:
    shape = {"embed_dim": 8, "num_heads": (2, 4), "window_size": 2}
    return Swin(16, DropRates(), Head(5), depths=(1, 1), **shape)


def _arrays(model) -> dict[str, np.ndarray]:
    """Returns random arrays for a model with timm's names and PyTorch's layout."""
    rng = np.random.default_rng(0)
    ours = {
        name: rng.normal(size=value.shape).astype("float32")
        for name, value in model.state_dict().items()
    }
    return layouts.to_timm(model, ours)


def _as_paddle(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    matrices = {n for n, a in arrays.items() if n.endswith("weight") and a.ndim == 2}
    return {name: array.T if name in matrices else array for name, array in arrays.items()}


def _assert_loads(model, found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    report = models.assign(model, found, "file")
    assert sorted(report.loaded) == sorted(model.state_dict())
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    for name, array in layouts.to_timm(model, state).items():
        assert (array == expected[name]).all(), name


@pytest.mark.parametrize("layout", ["PyTorch", "Paddle"])
@pytest.mark.parametrize("library", VITS)
def test_names_of_a_vit(library, layout):
    model = _vit("head_dist" in VITS[library])
    expected = _arrays(model)
    given, axis = (expected, 0) if layout == "PyTorch" else (_as_paddle(expected), 1)
    found = theirs(VITS[library], given, axis)
    named = to_timm(found, "file")
    assert library.startswith(named.library)
    assert not named.dropped
    assert not named.said
    assert named.arrays.keys() == expected.keys()
    _assert_loads(model, found, expected)


@pytest.mark.parametrize("library", SWINS)
def test_names_of_a_swin(library):
    model = _swin()
    expected = _arrays(model)
    given = {**expected}
    if "mmpretrain" in library:
        given |= {n: _unfolded(a) for n, a in expected.items() if ".downsample." in n}
    found = theirs(SWINS[library], given)
    assert library.startswith(to_timm(found, "file").library)
    _assert_loads(model, found, expected)


def _unfolded(array: np.ndarray) -> np.ndarray:
    """Sorts the inputs of a merging as `nn.Unfold` does: a channel's 2 x 2 patches in a row."""
    channels = array.shape[-1] // 4
    places = [
        (2 * column + row) * channels + channel  # timm's: column by column of the 2 x 2 patches
        for channel in range(channels)
        for row in range(2)
        for column in range(2)
    ]
    return array[..., places]


def test_buffers_of_swin_are_dropped():
    model = _swin()
    expected = _arrays(model)
    for library, name in (
        ("torchvision's Swin", "features.1.0.attn.relative_position_index"),
        ("mmpretrain's Swin", "backbone.stages.0.blocks.0.attn.w_msa.relative_position_index"),
        (
            "Hugging Face's Swin",
            "swin.encoder.layers.0.blocks.0.attention.self.relative_position_index",
        ),
    ):
        named = to_timm({**theirs(SWINS[library], expected), name: np.zeros((16, 16))}, "file")
        assert named.dropped == (name,)
        assert named.said == ("dropped buffers that follow from the shape (1 arrays)",)


def test_cait_of_paddlevit():
    model = models.create("cait_xxs_24", num_classes=5, image_size=32)
    expected = _arrays(model)
    found = {name.replace("embed.proj", "embed.patch_embed"): a for name, a in expected.items()}
    assert to_timm(found, "file").library == "PaddleViT's CaiT"
    _assert_loads(model, _as_paddle(found), expected)


_NO_PREFIX = ("vit.", "deit.", "transformer.", "backbone.")


@pytest.mark.parametrize("library", VITS)
@pytest.mark.parametrize("prefix", ["", "module.", "model.net."])
def test_with_and_without_prefixes(library, prefix):
    """The model alone has no prefix of the library; a wrapper puts its own before all names."""
    expected = _arrays(_vit("head_dist" in VITS[library]))
    for name, array in (found := theirs(VITS[library], expected)).copy().items():
        own = next((one for one in _NO_PREFIX if name.startswith(one)), "")
        found[prefix + (name if prefix else name.removeprefix(own))] = found.pop(name)
        assert array is not None
    named = to_timm(found, "file")
    assert named.arrays.keys() == expected.keys()
    assert named.said == ((f"took the prefix {prefix!r} off the names",) if prefix else ())


def test_a_head_next_to_a_wrapped_body():
    expected = _arrays(_vit())
    found = {n if n.startswith("head.") else f"backbone.{n}": a for n, a in expected.items()}
    named = to_timm(found, "file")
    assert (named.library, named.arrays.keys()) == ("timm", expected.keys())
    assert named.said == ("took the prefix 'backbone.' off the names",)


def test_the_architecture_of_names_that_are_known(tmp_path):
    expected = _arrays(_vit())
    for library, other in VITS.items():
        if "head_dist" not in other:
            models.write_arrays(tmp_path / "w.pth", theirs(other, expected), None)
            assert models.model_of(str(tmp_path / "w.pth")) == "vit_n_8", library


def test_names_that_are_known_stay():
    for model in (_vit(), _swin(), models.create("cait_xxs_24", num_classes=5, image_size=32)):
        arrays = _arrays(model)
        named = to_timm(arrays, "file")
        assert (named.library, named.dropped, named.said) == ("timm", (), ())
        assert named.arrays == arrays
    unknown = {"conv1.weight": np.zeros((4, 3, 3, 3)), "fc.bias": np.zeros(2)}
    assert to_timm(unknown, "file") == (unknown, "", (), ())


def test_parts_that_are_missing():
    found = theirs(VITS["Hugging Face's ViT"], _arrays(_vit()))
    key = "vit.encoder.layer.2.attention.attention.key.bias"
    for change in ({}, {key: np.zeros(47, "float32")}, {key: np.zeros((), "float32")}):
        broken = {name: array for name, array in found.items() if name != key} | change
        with pytest.raises(UserError, match=r"query and key and value .* do not belong together"):
            to_timm(broken, "file")


def test_two_names_for_one_array():
    found = theirs(VITS["Hugging Face's ViT"], _arrays(_vit()))
    twice = {**found, "vit.layers.1.mlp.fc1.bias": np.zeros(96, "float32")}
    with pytest.raises(UserError, match=r"blocks.1.mlp.fc1.bias is there twice, as vit.encoder"):
        to_timm(twice, "file")
    twice = {**found, "blocks.1.attn.qkv.bias": np.zeros(144, "float32")}
    with pytest.raises(UserError, match=r"blocks.1.attn.qkv.bias is there twice"):
        to_timm(twice, "file")
    both = {f"{which}.{name}": a for name, a in found.items() for which in ("teacher", "student")}
    with pytest.raises(UserError, match=r"holds 2 models, below 'teacher.vit.' and 'student.vit.'"):
        to_timm(both, "file")
