"""Google's ViT weights: a file with flax's names and layouts loads into the same model."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from common.errors import UserError
from engine.state.run_weights import arrays_of

_HEADS = 3  # of vit_n


def _google(arrays: dict[str, np.ndarray], depth: int = 4) -> dict[str, np.ndarray]:
    """Returns our arrays with flax's names and layouts."""
    width = arrays["pos_embed"].shape[-1]
    found = {
        "cls": arrays["cls_token"],
        "embedding/kernel": arrays["patch_embed.proj.weight"].transpose(2, 3, 1, 0),  # HWIO
        "embedding/bias": arrays["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": arrays["pos_embed"],
        "Transformer/encoder_norm/scale": arrays["norm.weight"],
        "Transformer/encoder_norm/bias": arrays["norm.bias"],
        "head/kernel": arrays["head.weight"],
        "head/bias": arrays["head.bias"],
    }
    for block in range(depth):
        ours, theirs = f"blocks.{block}", f"Transformer/encoderblock_{block}"
        for norm, number in (("norm1", 0), ("norm2", 2)):
            found[f"{theirs}/LayerNorm_{number}/scale"] = arrays[f"{ours}.{norm}.weight"]
            found[f"{theirs}/LayerNorm_{number}/bias"] = arrays[f"{ours}.{norm}.bias"]
        for number in (0, 1):
            for leaf, name in (("kernel", "weight"), ("bias", "bias")):
                found[f"{theirs}/MlpBlock_3/Dense_{number}/{leaf}"] = arrays[
                    f"{ours}.mlp.fc{number + 1}.{name}"
                ]
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for place, part in enumerate(("query", "key", "value")):
            columns = slice(place * width, (place + 1) * width)
            kernel = arrays[f"{ours}.attn.qkv.weight"][:, columns]
            found[f"{attention}/{part}/kernel"] = kernel.reshape(width, _HEADS, -1)
            found[f"{attention}/{part}/bias"] = arrays[f"{ours}.attn.qkv.bias"][columns].reshape(
                _HEADS, -1
            )
        found[f"{attention}/out/kernel"] = arrays[f"{ours}.attn.proj.weight"].reshape(
            _HEADS, -1, width
        )
        found[f"{attention}/out/bias"] = arrays[f"{ours}.attn.proj.bias"]
    return found


@pytest.fixture
def source():
    model = models.create("vit_n_8", image_size=32, num_classes=7)
    for parameter in model.parameters():
        parameter.set_value(parameter + 0.1 * paddle.randn(parameter.shape))
    return model


def _saved(path, arrays: dict[str, np.ndarray]):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("prefix", ["", "opt/target/", "params/"])
def test_the_same_model(source, tmp_path, prefix):
    arrays = {prefix + name: array for name, array in _google(arrays_of(source)).items()}
    model = models.create("vit_n_8", image_size=32, num_classes=7)
    report = models.load_weights(model, _saved(tmp_path / "w.npz", arrays))
    assert sorted(report.loaded) == sorted(source.state_dict())
    assert all((array == arrays_of(source)[name]).all() for name, array in arrays_of(model).items())


def test_the_oldest_files_lose_their_head_with_what_is_below_it(source, tmp_path):
    arrays = _google(arrays_of(source))
    arrays.update(
        {"pre_logits/kernel": np.zeros((48, 48), "f4"), "pre_logits/bias": np.zeros(48, "f4")}
    )
    path = _saved(tmp_path / "w.npz", arrays)
    report = models.load_weights(models.create("vit_n_8", image_size=64, num_classes=3), path)
    assert report.resized == ["pos_embed"]
    assert sorted(report.dropped) == [
        "head.bias",
        "head.weight",
        "pre_logits.fc.bias",
        "pre_logits.fc.weight",
    ]
    # Also where the number of classes is the same: that head stands on a layer which is not here.
    report = models.load_weights(models.create("vit_n_8", image_size=32, num_classes=7), path)
    assert report.initialised == ["head.weight", "head.bias"]
    with pytest.raises(UserError, match="its head stands on pre_logits"):
        models.load_weights(source, path, head_rows=(0, 1))


_BLOCK = "Transformer/encoderblock_1"
_ZEROS = np.zeros(48, "float32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{_BLOCK}/LayerNorm_2/bias": None}, "missing: blocks.1.norm2.bias"),
        ({f"{_BLOCK}/MultiHeadDotProductAttention_1/key/bias": None}, "do not belong together"),
        (
            {"Transformer/encoderblock_4/LayerNorm_0/bias": _ZEROS},
            "do not belong to the model: blocks.4.norm1.bias",
        ),
        ({"MAPHead_0/probe": _ZEROS}, "a ViT that is pooled by attention"),
        (
            {"embedding/kernel": _ZEROS},
            "patch_embed.proj.weight .48., the model expects .48, 3, 8, 8.",
        ),
        (
            {"Transformer/encoder_norm/bias": _ZEROS + np.inf},
            "norm.bias holds values that are not finite",
        ),
    ],
)
def test_files_of_another_model(source, tmp_path, change, message):
    arrays = {**_google(arrays_of(source)), **change}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(UserError, match=message):
        models.load_weights(source, _saved(tmp_path / "w.npz", arrays))


def test_another_number_of_heads(source, tmp_path):
    """It changes no other shape."""
    arrays = _google(arrays_of(source))
    for name in [name for name in arrays if name.endswith("query/kernel")]:
        arrays[name] = arrays[name].reshape(48, 2, 24)
    with pytest.raises(UserError, match="heads=2 here and 3 in the model"):
        models.load_weights(source, _saved(tmp_path / "w.npz", arrays))


@pytest.mark.parametrize("name", ["resnet_18", "cait_xxs_24", "swin_ti", "deit_ti_distilled"])
def test_another_family(source, tmp_path, name):
    with pytest.raises(
        UserError,
        match=r"do not belong to the model|of the model are missing|is of a plain model",
    ):
        models.load_weights(
            models.create(name), _saved(tmp_path / "w.npz", _google(arrays_of(source)))
        )
