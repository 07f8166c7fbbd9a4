"""What `config.json` and `preprocessor_config.json` beside weights say of them."""

from __future__ import annotations

import json

import pytest

from common.errors import UserError
from models.weights.stated.descriptions import Description, describe

_TIMM = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 0.9}
_VIT = {"model_type": "vit", "hidden_size": 48, "num_attention_heads": 3, "image_size": 32}


def _write(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_nothing_is_said(tmp_path):
    assert describe(tmp_path) == describe(tmp_path / "w.pth") == Description()
    assert describe(_write(tmp_path, config={"seed": 0, "model": {}})) == Description()


def test_a_config_of_timm(tmp_path):
    content = {
        "architecture": "vit_base_patch16_clip_quickgelu_224",
        "num_features": 48,
        "global_pool": "avg",
        "pretrained_cfg": {**_TIMM, "input_size": [3, 32, 32], "interpolation": "bicubic"},
        "model_args": {"act_layer": "quick_gelu", "fc_norm": False, "no_embed_class": True},
    }
    found = describe(_write(tmp_path, config=content))
    assert found.architecture == "vit_base_patch16_clip_quickgelu_224"
    assert (found.width, found.sides) == (48, (32, 32))
    assert found.input == {
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "crop_fraction": 0.9,
        "interpolation": "bicubic",
    }
    assert found.parts == {
        "pool": "avg",
        "activation": "quick_gelu",
        "fc_norm": False,
        "class_position": False,
    }


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (_VIT, {"activation": "gelu", "norm_epsilon": 1e-12, "heads": 3}),
        ({**_VIT, "hidden_act": "gelu_new"}, {"activation": "gelu_tanh", "norm_epsilon": 1e-12}),
        (
            {**_VIT, "model_type": "dinov2", "layer_norm_eps": 1e-5},
            {"activation": "gelu", "norm_epsilon": 1e-5},
        ),
        (
            {"model_type": "clip", "vision_config": {"num_attention_heads": 12}},
            {"activation": "quick_gelu", "norm_epsilon": 1e-5, "heads": 12},
        ),
        ({"model_type": "clip_vision_model"}, {"activation": "quick_gelu", "norm_epsilon": 1e-5}),
        ({"model_type": "swin", "embed_dim": 96, "num_heads": [3, 6]}, {"activation": "gelu"}),
    ],
)
def test_a_config_of_hugging_face(tmp_path, content, parts):
    found = describe(_write(tmp_path, config=content))
    assert dict(found.parts).items() >= parts.items()
    assert found.origin == "config.json"


def test_names_of_classes(tmp_path):
    names = {"1": "dog", "0": "cat"}
    assert describe(_write(tmp_path, config={**_VIT, "id2label": names})).classes == ("cat", "dog")
    made_up = {"0": "LABEL_0", "1": "LABEL_1"}
    assert describe(_write(tmp_path, config={**_VIT, "id2label": made_up})).classes == ()


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ({"resample": 2}, {"interpolation": "bilinear"}),
        ({"resample": 3, "size": 256, "crop_size": 224}, {"crop_fraction": 1.0}),
        (
            {
                "size": {"shortest_edge": 256},
                "crop_size": {"height": 224, "width": 224},
                "do_center_crop": True,
            },
            {"crop_fraction": 0.875},
        ),
        ({"do_normalize": False}, {"mean": (0.0,) * 3, "std": (1.0,) * 3}),
        ({"rescale_factor": 1 / 127.5}, {"mean": (0.05, 0.1, 0.15)}),
    ],
)
def test_images(tmp_path, stated, found):
    content = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], **stated}
    plain = describe(_write(tmp_path, preprocessor_config=content)).input
    assert plain is not None
    assert plain.items() >= found.items()
    nested = describe(_write(tmp_path, preprocessor_config={"image_processor": content})).input
    assert nested == plain


@pytest.mark.parametrize(
    "files",
    [
        {"config": []},
        {"config": {"pretrained_cfg": 3}},
        {"config": {**_VIT, "hidden_size": "wide"}},
        {"config": {"crop_pct": 0.9, "mean": [1]}},
        {"config": {**_TIMM, "model_args": [1]}},
        {"preprocessor_config": {"image_mean": [0.5], "image_std": [0.5]}},
        {"preprocessor_config": {"image_mean": 0.5}},
        {"preprocessor_config": {"image_mean": [0.5] * 3, "rescale_factor": 0}},
    ],
)
def test_nonsense_is_refused_in_one_line(tmp_path, files):
    with pytest.raises(UserError, match=r"config\.json: .*readable") as caught:
        describe(_write(tmp_path, **files))
    assert "\n" not in str(caught.value)
