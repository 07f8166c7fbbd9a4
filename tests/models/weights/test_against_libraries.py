"""Small models of the libraries themselves: their files load here, and compute the same.

Only where transformers or torchvision are installed; neither is a requirement of this project.
"""

from __future__ import annotations

import functools

import numpy as np
import paddle
import pytest
from conftest import import_timm
from test_library_parts import DINOV2, OPENAI_CLIP, arrays_of
from test_rotary_names import DINOV3

import models
from common.errors import UserError
from models.weights.names.translate import to_timm

pytestmark = pytest.mark.slow
_WIDTH, _DEPTH, _HEADS, _HIDDEN = 48, 4, 3, 96  # of vit_n_8
_TRANSFORMERS = {
    "hidden_size": _WIDTH,
    "num_hidden_layers": _DEPTH,
    "num_attention_heads": _HEADS,
    "patch_size": 8,
    "image_size": 32,
}
_VIT = {**_TRANSFORMERS, "intermediate_size": _HIDDEN}
_TOLERANCE = 1e-5  # of the largest logit


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def transformers():
    import_timm()
    return pytest.importorskip("transformers")


def _perturbed(torch, model):
    """Gives each array values that matter."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            drawn = torch.randn(value.shape, generator=generator)
            if value.ndim == 1:
                drawn = 0.3 * drawn + (0 if name.endswith("bias") else 1)
            else:
                drawn = drawn / (value[0].numel() ** 0.5 if name.endswith("weight") else 2)
            value.copy_(drawn)
    return model.eval()


def _images(side: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 3, side, side)).astype("float32")


def _state(model) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


def _saved(model, folder) -> dict[str, np.ndarray]:
    """Returns the arrays of a file, which version 5 of transformers names unlike its modules."""
    model.save_pretrained(folder)
    return models.read_arrays(folder / "model.safetensors")[0]


def _assert_same(torch, model, theirs, found: dict[str, np.ndarray], side: int = 32) -> None:
    report = models.assign(model, found, "file")
    assert not report.initialised
    model.eval()
    images = _images(side)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images))
    expected = getattr(expected, "logits", expected).numpy()
    logits = model(paddle.to_tensor(images)).numpy()
    assert np.abs(logits - expected).max() < _TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ViT", "vit_n_8"),
        ("ViTMSN", "vit_n_8"),
        ("DeiT", "vit_n_8_distilled"),
    ],
)
def test_transformers(torch, transformers, tmp_path, kind, name):
    """As files and as in memory."""
    config = getattr(transformers, f"{kind}Config")(**_VIT, num_labels=5)
    task = "ImageClassification" + ("WithTeacher" if kind == "DeiT" else "")
    theirs = _perturbed(torch, getattr(transformers, f"{kind}For{task}")(config))
    for found in (_saved(theirs, tmp_path), _state(theirs)):
        model = models.create(name, num_classes=5, image_size=32)
        # transformers' own epsilon of 1e-12 makes no difference here
        _assert_same(torch, model, theirs, found)


def test_swin_of_transformers(torch, transformers, tmp_path):
    config = transformers.SwinConfig(image_size=224, num_labels=5)
    theirs = _perturbed(torch, transformers.SwinForImageClassification(config))
    for found in (_saved(theirs, tmp_path), _state(theirs)):
        model = models.create("swin_ti", num_classes=5)
        _assert_same(torch, model, theirs, found, side=224)


def test_torchvision(torch, transformers):
    vision = pytest.importorskip("torchvision").models
    vit = vision.VisionTransformer(32, 8, _DEPTH, _HEADS, _WIDTH, _HIDDEN, num_classes=5)
    model = models.create("vit_n_8", num_classes=5, image_size=32)
    _assert_same(torch, model, _perturbed(torch, vit), _state(vit))
    swin = _perturbed(torch, vision.swin_t(num_classes=5))
    _assert_same(torch, models.create("swin_ti", num_classes=5), swin, _state(swin), side=224)


@pytest.mark.parametrize(
    ("kind", "config", "fields", "dropped"),
    [
        ("Dinov2Model", "Dinov2Config", {"mlp_ratio": 2}, {"embeddings.mask_token"}),
        (
            "Dinov2ForImageClassification",
            "Dinov2Config",
            {"use_swiglu_ffn": True},
            {"dinov2.embeddings.mask_token", "classifier.weight", "classifier.bias"},
        ),
        (
            "Dinov2WithRegistersForImageClassification",
            "Dinov2WithRegistersConfig",
            {},
            {
                "dinov2_with_registers.embeddings.mask_token",
                "classifier.weight",
                "classifier.bias",
            },
        ),
        ("ViTModel", "ViTConfig", {}, {"pooler.dense.weight", "pooler.dense.bias"}),
        ("ViTMAEForPreTraining", "ViTMAEConfig", {"mask_ratio": 0.0}, {"decoder."}),
        ("CLIPVisionModel", "CLIPVisionConfig", {}, set()),
        ("CLIPVisionModelWithProjection", "CLIPVisionConfig", {}, {"visual_projection.weight"}),
        ("CLIPModel", "CLIPConfig", {}, {"text_", "visual_projection.weight", "logit_scale"}),
        ("IJepaModel", "IJepaConfig", {}, set()),
    ],
)
def test_transformers_as_timm_has_them(
    torch, transformers, tmp_path, kind, config, fields, dropped
):
    """Every array becomes one of timm's or is dropped on purpose, and timm computes the same."""
    theirs = _perturbed(torch, getattr(transformers, kind)(_config(transformers, config, fields)))
    peer, images = _peer(torch, kind, fields), torch.from_numpy(_images(32))
    with torch.no_grad():
        expected = _feature(theirs, images).numpy()
    for found in (_saved(theirs, tmp_path), _state(theirs)):
        named = to_timm(found, "file")
        assert all(name.startswith(tuple(dropped)) for name in named.dropped)
        assert {one for one in dropped if any(n.startswith(one) for n in named.dropped)} == dropped
        peer.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in named.arrays.items()})
        with torch.no_grad():
            tokens = peer.forward_features(images)
        feature = (tokens.mean(1) if "IJepa" in kind else tokens[:, 0]).numpy()
        assert np.abs(feature - expected).max() < _TOLERANCE * np.abs(expected).max()


def _config(transformers, config: str, fields: dict):
    if config == "CLIPConfig":
        small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        text = {**small, "intermediate_size": 16, "vocab_size": 9, "eos_token_id": 2}
        return transformers.CLIPConfig(text_config=text, vision_config=_VIT)
    shape = _TRANSFORMERS if "Dinov2" in config else _VIT
    return getattr(transformers, config)(**shape, **fields)


def _peer(torch, kind: str, fields: dict):
    """Returns timm's model of the same parts."""
    timm = import_timm()
    parts = {"mlp_ratio": fields.get("mlp_ratio", 4 if "Dinov2" in kind else 2)}
    if "Dinov2" in kind:
        parts["init_values"] = 1e-5
    if "Registers" in kind:
        parts |= {"reg_tokens": 4, "no_embed_class": True}
    if fields.get("use_swiglu_ffn"):
        layers = timm.layers
        parts |= {"mlp_layer": layers.SwiGLUPacked, "act_layer": "silu", "mlp_ratio": 256 / 48}
    if "CLIP" in kind:
        norm = functools.partial(torch.nn.LayerNorm, eps=1e-5)
        parts |= {"pre_norm": True, "act_layer": "quick_gelu", "norm_layer": norm}
    if "IJepa" in kind:
        parts |= {"class_token": False, "global_pool": "avg", "fc_norm": False}
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 4, "num_heads": 3}
    return timm.models.VisionTransformer(**shape, num_classes=0, **parts).eval()


def _feature(theirs, images):
    """Returns what the classes are told from: the class token, or the mean of the patches."""
    kind = type(theirs).__name__
    body = theirs.vision_model if hasattr(theirs, "vision_model") else theirs.base_model
    found = body(images)
    if "CLIP" in kind:
        return found.pooler_output
    tokens = found.last_hidden_state
    return tokens.mean(1) if "IJepa" in kind else tokens[:, 0]


@pytest.mark.parametrize(
    ("text", "more", "function"),
    [
        (OPENAI_CLIP, {}, "_convert_openai_clip"),
        (DINOV2, {"register_tokens": (1, 4, 8)}, "_convert_dinov2"),
    ],
)
def test_timm_converts_alike(torch, text, more, function):
    """timm's own functions for the files of OpenAI and Facebook."""
    timm = import_timm()
    lines = [line for line in text.splitlines() if ".ls_1." not in line]  # which timm leaves
    arrays, _ = arrays_of("\n".join(lines).replace("blocks.0.3.", "blocks.3."))
    arrays |= {name: np.ones(shape, "float32") for name, shape in more.items()}
    if "visual.class_embedding" in arrays:
        arrays["visual.class_embedding"] = arrays["visual.class_embedding"].reshape(-1)
        arrays["visual.positional_embedding"] = arrays["visual.positional_embedding"][0]
    given = {name: torch.from_numpy(array) for name, array in arrays.items()}
    theirs = getattr(timm.models.vision_transformer, function)(given, None)
    found = to_timm(arrays, "file").arrays
    assert found.keys() == theirs.keys()
    assert all((found[name] == value.numpy()).all() for name, value in theirs.items())


@pytest.mark.parametrize(("kind", "gated"), [("Model", False), ("Model", True), ("Backbone", True)])
def test_dinov3_of_transformers(torch, transformers, tmp_path, kind, gated):
    """As files and as in memory; the class token behind the last norm."""
    fields = {"use_gated_mlp": gated, "hidden_act": "silu" if gated else "gelu"}
    shape = {**_VIT, "intermediate_size": _HIDDEN // (1 + gated)}
    config = transformers.DINOv3ViTConfig(**shape, **fields, num_register_tokens=4)
    theirs = _perturbed(torch, getattr(transformers, f"DINOv3ViT{kind}")(config))
    body = transformers.DINOv3ViTModel(config)
    body.load_state_dict(theirs.state_dict())
    for found in (_saved(theirs, tmp_path), _state(theirs)):
        head = {"classifier.weight": np.eye(48, dtype="float32"), "classifier.bias": np.zeros(48)}
        model = models.create(
            "vit_n_8", 48, 32, **DINOV3, pool="token", mlp="swiglu" if gated else "plain"
        )
        report = models.assign(model, found | head, "file")
        assert report.dropped == ["embeddings.mask_token"]
        model.eval()
        images = _images(32)
        with torch.no_grad():
            expected = body.eval()(torch.from_numpy(images)).pooler_output.numpy()
        logits = model(paddle.to_tensor(images)).numpy()
        assert np.abs(logits - expected).max() < _TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("family", ["beit", "siglip", "swin v2"])
def test_families_of_timm_that_are_refused(family):
    timm = import_timm()
    name = {
        "beit": "beit_base_patch16_224",
        "siglip": "vit_base_patch16_siglip_224",
        "swin v2": "swinv2_tiny_window8_256",
    }[family]
    peer = timm.create_model(name)
    with pytest.raises(UserError, match=f"(?i){family}"):
        to_timm(_state(peer), "file")


@pytest.mark.parametrize(
    ("name", "backbone", "head"),
    [
        ("vit_n_8", {"type": "VisionTransformer"}, "VisionTransformerClsHead"),
        ("vit_n_8_distilled", {"type": "DistilledVisionTransformer"}, "DeiTClsHead"),
        ("swin_ti", {"type": "SwinTransformer", "arch": "tiny", "img_size": 224}, "LinearClsHead"),
    ],
)
def test_mmpretrain(torch, name, backbone, head):
    import_timm()
    make = pytest.importorskip("mmpretrain.models").build_classifier
    if name.startswith("vit"):
        sizes = ("embed_dims", "num_layers", "num_heads", "feedforward_channels")
        arch = dict(zip(sizes, (_WIDTH, _DEPTH, _HEADS, _HIDDEN)))
        backbone = {**backbone, "arch": arch, "img_size": 32, "patch_size": 8}
    width = _WIDTH if name.startswith("vit") else 768
    config = {"backbone": backbone, "head": {"type": head, "num_classes": 5, "in_channels": width}}
    if name.startswith("swin"):
        config["neck"] = {"type": "GlobalAveragePooling"}
    theirs = _perturbed(torch, make({"type": "ImageClassifier", **config}))
    side = 32 if name.startswith("vit") else 224
    model = models.create(name, num_classes=5, **({"image_size": side} if side == 32 else {}))
    _assert_same(torch, model, functools.partial(theirs, mode="tensor"), _state(theirs), side)
