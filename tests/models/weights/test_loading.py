"""Loading weights: nothing is lost silently, and files that contain code are refused."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import paddle
import pytest
from conftest import SHARED_DATA
from safetensors.numpy import save_file

import models
from common.errors import UserError
from common.files import sha256
from engine.state import run_weights as own_weights
from models.families.swin import Swin
from models.layers.dropout import DropRates
from models.specs import Head
from models.weights import sources
from models.weights.names import layouts


@pytest.fixture
def model():
    return models.create("vit_n_2", num_classes=10)


def _swin(size: int, depths: tuple[int, ...]) -> Swin:
    shape = {"embed_dim": 8, "num_heads": (2, 4, 8)[: len(depths)], "window_size": 2}
    return Swin(size, DropRates(), Head(3), depths=depths, **shape)


def _arrays(model):
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=value.shape).astype("float32")
        for name, value in model.state_dict().items()
    }


@pytest.mark.parametrize("suffix", [".pdparams", ".safetensors"])
def test_both_formats(model, tmp_path, suffix):
    other = models.create("vit_n_2", num_classes=10)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pdparams":
        paddle.save(other.state_dict(), str(path))
    else:
        save_file(own_weights.arrays_of(other), str(path))
    report = models.load_weights(model, path)
    assert len(report.loaded) == len(model.state_dict())
    for name, value in other.state_dict().items():
        assert (model.state_dict()[name].numpy() == value.numpy()).all()


def test_another_head_is_dropped_and_reported(tmp_path):
    source, target = (
        models.create("vit_n_2", num_classes=7),
        models.create("vit_n_2", num_classes=10),
    )
    before = target.head.weight.numpy()
    report = models.assign(target, own_weights.arrays_of(source), "file")
    assert report.dropped == ["head.weight", "head.bias"]
    assert report.initialised == ["head.weight", "head.bias"]
    assert "dropped head.weight" in report.summary()
    assert (target.head.weight.numpy() == before).all()


def test_positions_are_resized_and_special_tokens_kept():
    for name, special in (("deit_ti", 1), ("deit_ti_distilled", 2)):
        source, target = (
            models.create(name, image_size=32, num_classes=2),
            models.create(name, image_size=64, num_classes=2),
        )
        arrays = own_weights.arrays_of(source)
        arrays["pos_embed"][:, special:] = 3.0  # a constant stays one in any interpolation
        report = models.assign(target, arrays, "file")
        assert report.resized == ["pos_embed"]
        positions = target.pos_embed.numpy()
        assert (positions[:, :special] == arrays["pos_embed"][:, :special]).all()
        np.testing.assert_allclose(positions[:, special:], 3.0, rtol=1e-6)


def test_positions_of_grids_that_are_not_square():
    """Also where the number of places is the same: 4 x 4 is not 2 x 8."""
    source = models.create("vit_n_8", image_size=32, num_classes=2)
    arrays = own_weights.arrays_of(source)
    for shape in ((16, 64), (64, 16), (24, 40)):
        target = models.create("vit_n_8", image_size=shape, num_classes=2)
        assert models.assign(target, arrays, "file").resized == ["pos_embed"]
        assert target(paddle.zeros([1, 3, *shape])).shape == [1, 2]
    wide = models.create("vit_n_8", image_size=(24, 40), num_classes=2)
    assert models.assign(wide, own_weights.arrays_of(wide), "file").resized == []
    with pytest.raises(UserError, match="pos_embed has shape .* no square grid"):
        models.assign(source, own_weights.arrays_of(wide), "file")


def test_unplanned_arrays_are_errors(model):
    arrays = _arrays(model)
    with pytest.raises(
        UserError, match="blocks.0.attn.qkv.biass.*did you mean 'blocks.0.attn.qkv.bias'"
    ):
        models.assign(model, {**arrays, "blocks.0.attn.qkv.biass": np.zeros(3, "float32")}, "file")
    missing = {name: value for name, value in arrays.items() if name != "blocks.1.attn.qkv.bias"}
    with pytest.raises(
        UserError, match=r"1 arrays of the model are missing: blocks.1.attn.qkv.bias"
    ):
        models.assign(model, missing, "file")
    with pytest.raises(
        UserError, match=r"1 arrays have other shapes: norm.weight \[5\], the model expects \[48\]"
    ):
        models.assign(model, {**arrays, "norm.weight": np.zeros(5, "float32")}, "file")
    for value in (np.nan, np.inf):
        arrays["norm.weight"][0] = value
        with pytest.raises(UserError, match="norm.weight holds values that are not finite"):
            models.assign(model, arrays, "file")
    with pytest.raises(UserError, match="not finite"):  # in float32
        models.assign(model, {**arrays, "norm.weight": np.full(48, 1e300)}, "file")
    for kind in ("complex64", "U8", "datetime64[s]"):
        with pytest.raises(UserError, match="norm.weight holds .* values, expected numbers"):
            models.assign(model, {**arrays, "norm.weight": np.zeros(48, kind)}, "file")


def test_a_failed_load_changes_nothing(model):
    before = own_weights.arrays_of(model)
    arrays = _arrays(model)
    del arrays["norm.bias"]
    with pytest.raises(UserError):
        models.assign(model, arrays, "file")
    assert all(
        (value == before[name]).all() for name, value in own_weights.arrays_of(model).items()
    )


@pytest.mark.parametrize("name", ["head.weight", "head.bias"])
def test_half_a_head_is_an_error(model, name):
    arrays = _arrays(model)
    del arrays[name]
    with pytest.raises(UserError, match=f"missing: {name}"):
        models.assign(model, arrays, "file")
    with pytest.raises(UserError, match=f"other shapes: {name} .*, the model expects"):
        models.assign(model, {**_arrays(model), name: _arrays(model)[name][..., :7]}, "file")
    other = "head.bias" if name == "head.weight" else "head.weight"
    with pytest.raises(UserError, match=f"missing: {name}"):
        models.assign(model, {**arrays, other: arrays[other][..., :7]}, "file")


def test_a_part_of_another_size_is_an_error():
    arrays = _arrays(models.create("vit_n_2", num_classes=1000))
    with pytest.raises(UserError, match="2 arrays have other shapes: head.weight"):
        models.assign(models.create("vit_n_2", num_classes=3), arrays, "file", (1, 2))


def test_a_head_that_is_not_there_can_not_be_cut(model):
    arrays = {name: array for name, array in _arrays(model).items() if not name.startswith("head.")}
    with pytest.raises(UserError, match="file: has no head of which a part could be taken"):
        models.assign(model, arrays, "file", models.imagenet_rows(("n01443537",)))


def test_buffers_of_layers_that_are_not_there(model):
    with pytest.raises(UserError, match="do not belong to the model: foo.num_batches_tracked"):
        models.assign(model, {**_arrays(model), "foo.num_batches_tracked": np.zeros(())}, "file")


def test_negative_variances():
    model = models.create("resnet_18", num_classes=2)
    arrays = own_weights.arrays_of(model)
    arrays["bn1._variance"][3] = -1
    with pytest.raises(UserError, match="bn1._variance holds negative variances"):
        models.assign(model, arrays, "file")


def test_two_heads_are_loaded_together_or_not_at_all():
    target = models.create("vit_n_2_distilled", num_classes=10)
    arrays, seven = _arrays(target), _arrays(models.create("vit_n_2_distilled", num_classes=7))
    one = {
        name: seven[name] if name.startswith("head_dist") else array
        for name, array in arrays.items()
    }
    report = models.assign(target, one, "file")
    assert (
        sorted(report.dropped)
        == sorted(report.initialised)
        == sorted(n for n in arrays if n.startswith("head"))
    )
    with pytest.raises(UserError, match="missing: head_dist.weight, head_dist.bias"):
        models.assign(
            target, {n: a for n, a in arrays.items() if not n.startswith("head_dist")}, "file"
        )


def test_what_is_dropped_is_looked_at_too(model):
    arrays = _arrays(model)
    for name, array in (("head.bias", np.full(7, np.nan)), ("head.weight", np.zeros((9, 7)))):
        found = {**arrays, "head.weight": np.zeros((48, 7)), "head.bias": np.zeros(7), name: array}
        with pytest.raises(
            UserError, match=r"head.bias holds values that are not finite|head.weight \[9, 7\]"
        ):
            models.assign(model, found, "file")


def test_an_array_under_two_names_is_an_error():
    source = _swin(16, (1, 1))
    timm = layouts.to_timm(source, own_weights.arrays_of(source))
    for name, array in (
        ("head.weight", np.zeros((3, 16))),
        ("layers.0.downsample.norm.bias", np.zeros(32)),
    ):
        with pytest.raises(UserError, match=f"{name} is there twice"):
            models.assign(source, {**timm, name: array}, "file")


def test_numbers_that_a_resize_makes_too_large(model):
    arrays = {**_arrays(model), "pos_embed": np.full((1, 26, 48), 3.4e38, "float32")}
    arrays["pos_embed"][:, :14] *= -1  # a step, at which the kernel overshoots
    with pytest.raises(UserError, match="resized: pos_embed holds values that are not finite"):
        models.assign(model, arrays, "file")


def test_the_layout_of_a_head_that_is_square():
    """Shapes do not tell the layout, but the names of PyTorch's and Paddle's batch norms differ."""
    source, target = (models.create("resnet_18", num_classes=512) for _ in range(2))
    arrays = own_weights.arrays_of(source)
    for found in (arrays, layouts.to_timm(source, arrays)):
        models.assign(target, found, "file")
        assert (target.state_dict()["fc.weight"].numpy() == arrays["fc.weight"]).all()


def test_weights_without_a_head_leave_it_new_but_can_not_be_used_as_they_are(model):
    arrays = {name: array for name, array in _arrays(model).items() if not name.startswith("head.")}
    assert models.assign(model, arrays, "file").initialised == ["head.weight", "head.bias"]
    with pytest.raises(UserError, match=r"file: has no head.weight of shape \[48, 10\]"):
        models.assign_all(model, arrays, "file")


def test_a_new_head_on_request(model):
    before = model.head.weight.numpy()
    report = models.assign(model, _arrays(model), "file", head_rows=())
    assert report.dropped == report.initialised == ["head.weight", "head.bias"]
    assert (model.head.weight.numpy() == before).all()


@pytest.mark.parametrize("name", ["vit_n_2", "vit_n_2_distilled", "resnet_18"])
def test_the_part_of_imagenets_head_by_wordnet_id(name):
    source = models.create(name, num_classes=1000)
    names = ("n02124075", "n01443537", "n12768682")
    rows = models.imagenet_rows(names)
    assert rows == (285, 1, 990)  # Egyptian cat, goldfish, buckeye
    source.eval()
    images = paddle.randn([2, 3, 32, 32] if name == "resnet_18" else [2, 3, 8, 8])
    expected = source(images).numpy()[:, rows]
    arrays = own_weights.arrays_of(source)
    for found in (arrays, layouts.to_timm(source, arrays)):
        target = models.create(name, num_classes=3)
        report = models.assign(target, found, "file", rows)
        assert report.dropped == report.initialised == []
        target.eval()
        np.testing.assert_allclose(target(images), expected, rtol=1e-5, atol=1e-6)


def test_no_part_of_another_head(model):
    with pytest.raises(
        UserError, match="head.bias has 10 classes, and its part can be taken of 1000 only"
    ):
        models.assign(model, _arrays(model), "file", (1, 2))
    with pytest.raises(UserError, match="1 of 2 classes are no WordNet ids .*'cat'"):
        models.imagenet_rows(("n02124075", "cat"))


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real images are not here")
def test_tiny_imagenets_classes_are_imagenets():
    with zipfile.ZipFile(SHARED_DATA / "tiny-imagenet-200.zip") as archive:
        names = archive.read("tiny-imagenet-200/wnids.txt").decode().split()
    assert len(set(models.imagenet_rows(names))) == len(names) > 1


def test_a_table_of_another_arrangement_is_refused():
    model = _swin(32, (2, 2))
    arrays = own_weights.arrays_of(model)
    assert not any(name.endswith(model.derived) for name in arrays)  # they follow from the shape
    name = "layers.0.blocks.0.attn.relative_position_index"
    index = dict(model.named_buffers())[name].numpy()
    assert models.assign(model, {**arrays, name: index}, "file").dropped == [name]
    other_window = {**arrays, name: np.zeros([9, 9], "int64")}
    assert models.assign(model, other_window, "file").dropped == [name]
    with pytest.raises(UserError, match="another arrangement"):
        models.assign(model, {**arrays, name: index[::-1]}, "file")


def test_windows_of_another_arrangement_are_refused():
    """Swin-S3 has the same names and depths as Swin.

    But its windows are larger in the third stage than before.
    """
    model = _swin(32, (1, 1, 1))
    arrays = own_weights.arrays_of(model)
    larger = "layers.1.blocks.0.attn.relative_position_bias_table"
    with pytest.raises(UserError, match=r"windows of \[2, 3, 2\], which is not Swin's"):
        models.assign(model, {**arrays, larger: np.zeros((25, 4), "float32")}, "file")


def test_the_original_names_of_swin():
    """Microsoft's files merge patches at the end of a stage, timm's at the beginning of the next.

    Both are read.
    """
    source = _swin(32, (2, 2, 2))
    arrays = own_weights.arrays_of(source)
    transposed = {
        name: a.T if name in layouts._matrices(source) else a for name, a in arrays.items()
    }
    timm = layouts.to_timm(source, arrays)
    assert "layers.2.downsample.norm.weight" in timm
    for found in (transposed, timm):
        target = _swin(32, (2, 2, 2))
        assert len(models.assign(target, found, "file").loaded) == len(arrays)
        assert all(
            (value == arrays[name]).all() for name, value in own_weights.arrays_of(target).items()
        )


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
    theirs = sources._paddles(sources.address_of("resnet_18").url)
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"weights")
    with pytest.raises(
        UserError, match="MD5 is"
    ):  # Paddle publishes it, and this is none of its files
        models.locate("resnet_18")


class _Evil:
    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_code_in_a_weights_file_does_not_run(model, tmp_path):
    path, witness = tmp_path / "evil.pdparams", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"norm.weight": _Evil(f"touch {witness}")}))
    with pytest.raises(UserError, match="refused"):
        models.load_weights(model, path)
    assert not witness.exists()


@pytest.mark.parametrize("name", ["broken.pdparams", "broken.safetensors", "broken.txt"])
def test_broken_files(model, tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04nonsense")
    with pytest.raises(UserError, match="broken"):
        models.load_weights(model, tmp_path / name)
    with pytest.raises(UserError, match="no such weights file"):
        models.load_weights(model, tmp_path / "absent.safetensors")
