"""Exported models compute the logits of the models that they were made from, for any batch."""

from __future__ import annotations

import hashlib

import exports
import numpy as np
import pytest

from inference.export import graph, onnx_files
from inference.export.runners import INPUT, OUTPUT

_PIXELS = np.random.default_rng(0)


def _check(classifier, tmp_path, uint8):
    """Compares both formats with the model, one image and several at once."""
    files = graph.save(classifier, tmp_path, uint8)
    runners = [graph.open_paddle(classifier, files, uint8, bfloat16=False)]
    onnx_files.convert(files, tmp_path / "model.onnx", onnx_files.USUAL_OPSET)
    runners.append(onnx_files.open_onnx(classifier, tmp_path / "model.onnx", uint8))
    size = classifier.config.model.image_size
    for batch in (1, 3):
        pixels = _PIXELS.integers(0, 256, (batch, 3, size, size), dtype=np.uint8)
        expected = classifier.logits(pixels)
        assert np.abs(expected).max() > 1e-3
        for run in runners:
            np.testing.assert_allclose(run(pixels), expected, rtol=1e-5, atol=2e-6 * _of(expected))


def _of(logits):
    return max(1.0, float(np.abs(logits).max()))


def test_distilled_heads_are_averaged_and_pixels_normalised(tmp_path):
    """Both heads matter; the graph gives their mean, as evaluation does."""
    pytest.importorskip("paddle2onnx")
    config = exports.config_of("vit_n_2_distilled", 8)
    _check(exports.untrained(tmp_path / "w.safetensors", config), tmp_path, uint8=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "parts"),
    [
        ("vit_n_4_distilled", 32, ""),
        ("cait_xxs_24", 224, ""),
        ("swin_ti", 224, ""),
        ("resnet_18", 64, ""),
        ("dla_34", 64, ""),
        ("vit_n_4", 48, ""),
        ("vit_n_4", 32, "mlp=swiglu"),
        ("vit_n_4", 32, "rope=eva,class_position=False"),
        ("vit_n_4", 32, "rope=dinov3,registers=4,positions=False"),
        ("vit_n_4", 32, "qk_norm=True,layer_scale=0.1,activation=quick_gelu"),
        ("vit_n_4", 32, "pool=avg,class_token=False,fc_norm=True"),
        ("vit_n_4", 32, "pre_logits=16,activation=gelu_tanh,norm_pre=True"),
        ("vit_n_4", 32, "key_bias=False,attention_norm=True,mlp=swiglu,mlp_norm=True"),
    ],
)
@pytest.mark.parametrize("uint8", [False, True])
def test_families_and_parts(tmp_path, name, size, parts, uint8):
    pytest.importorskip("paddle2onnx")
    config = exports.config_of(name, size, parts=parts)
    _check(exports.untrained(tmp_path / "w.safetensors", config), tmp_path, uint8)


def test_names_axes_and_bytes(tmp_path):
    """Names, a free batch, no path of this machine; and the same bytes at every export."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("paddle2onnx")
    config = exports.config_of("vit_n_2", 8)
    classifier = exports.untrained(tmp_path / "w.safetensors", config)
    before = classifier.logits(np.zeros((2, 3, 8, 8), np.uint8))
    digests = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        files = graph.save(classifier, folder, uint8=False)
        onnx_files.convert(files, folder / "model.onnx", 15)
        contents = [path.read_bytes() for path in sorted(folder.iterdir())]
        assert not any(str(tmp_path).encode() in one or b"inference/" in one for one in contents)
        digests.append([hashlib.sha256(one).hexdigest() for one in contents])
    assert digests[0] == digests[1]
    made = onnx.load(str(folder / "model.onnx"))
    assert made.opset_import[0].version == 15
    for value, name, rest in (
        (made.graph.input[0], INPUT, [3, 8, 8]),
        (made.graph.output[0], OUTPUT, [10]),
    ):
        axes = value.type.tensor_type.shape.dim
        assert value.name == name
        assert axes[0].dim_param == "batch"
        assert [axis.dim_value for axis in axes[1:]] == rest
    np.testing.assert_array_equal(classifier.logits(np.zeros((2, 3, 8, 8), np.uint8)), before)
