"""What files of a library have beside a plain ViT: it is renamed, joined, or dropped and said."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UserError
from models.weights.names.translate import to_timm

_D = 8
_RNG = np.random.default_rng(0)
_SHAPES = {  # by the ending of a timm name; other arrays are (D,)
    "patch_embed.proj.weight": (_D, 3, 2, 2),
    "pos_embed": (1, 5, _D),
    "token": (1, 1, _D),
    "qkv.weight": (3 * _D, _D),
    "qkv.bias": (3 * _D,),
    "fc1.weight": (2 * _D, _D),
    "fc1.bias": (2 * _D,),
    "fc2.weight": (_D, 2 * _D),
    "attn.proj.weight": (_D, _D),
}


def _random(*shape: int) -> np.ndarray:
    return _RNG.normal(size=shape).astype("float32")


def arrays_of(text: str) -> tuple[dict, dict[str, str]]:
    """Makes arrays by lines `theirs = timm`; returns them, and timm's names of theirs."""
    names = dict(line.strip().split(" = ") for line in text.strip().splitlines())
    arrays = {}
    for their_name, timm in names.items():
        fits = [shape for ending, shape in _SHAPES.items() if timm.endswith(ending)]
        arrays[their_name] = _random(*(fits or [(_D,)])[0])
    return arrays, names


DINOV2 = """
    cls_token = cls_token
    pos_embed = pos_embed
    patch_embed.proj.weight = patch_embed.proj.weight
    blocks.0.3.norm1.weight = blocks.3.norm1.weight
    blocks.0.3.attn.qkv.weight = blocks.3.attn.qkv.weight
    blocks.0.3.ls1.gamma = blocks.3.ls1.gamma
    blocks.0.3.mlp.w12.weight = blocks.3.mlp.fc1.weight
    blocks.0.3.mlp.w12.bias = blocks.3.mlp.fc1.bias
    blocks.0.3.mlp.w3.weight = blocks.3.mlp.fc2.weight
    norm.weight = norm.weight
"""
_DEIT_III = """
    cls_token = cls_token
    pos_embed = pos_embed
    patch_embed.proj.weight = patch_embed.proj.weight
    blocks.0.gamma_1 = blocks.0.ls1.gamma
    blocks.0.gamma_2 = blocks.0.ls2.gamma
    blocks.0.attn.qkv.weight = blocks.0.attn.qkv.weight
"""
_HF_DINOV2 = """
    embeddings.cls_token = cls_token
    embeddings.position_embeddings = pos_embed
    embeddings.patch_embeddings.projection.weight = patch_embed.proj.weight
    encoder.layer.0.norm1.weight = blocks.0.norm1.weight
    encoder.layer.0.layer_scale1.lambda1 = blocks.0.ls1.gamma
    encoder.layer.0.layer_scale2.lambda1 = blocks.0.ls2.gamma
    encoder.layer.0.norm2.weight = blocks.0.norm2.weight
    encoder.layer.0.mlp.weights_in.weight = blocks.0.mlp.fc1.weight
    encoder.layer.0.mlp.weights_in.bias = blocks.0.mlp.fc1.bias
    encoder.layer.0.mlp.weights_out.weight = blocks.0.mlp.fc2.weight
    layernorm.weight = norm.weight
"""
_MMPRETRAIN = """
    backbone.cls_token = cls_token
    backbone.patch_embed.projection.weight = patch_embed.proj.weight
    backbone.pre_norm.weight = norm_pre.weight
    backbone.layers.0.ln1.weight = blocks.0.norm1.weight
    backbone.layers.0.attn.gamma1.weight = blocks.0.ls1.gamma
    backbone.layers.0.ffn.gamma2.weight = blocks.0.ls2.gamma
    backbone.layers.0.ffn.w12.weight = blocks.0.mlp.fc1.weight
    backbone.layers.0.ffn.w3.weight = blocks.0.mlp.fc2.weight
    backbone.ln2.weight = fc_norm.weight
    head.layers.pre_logits.weight = pre_logits.fc.weight
    head.fc.bias = head.bias
"""
OPENAI_CLIP = """
    visual.class_embedding = cls_token
    visual.positional_embedding = pos_embed
    visual.conv1.weight = patch_embed.proj.weight
    visual.ln_pre.weight = norm_pre.weight
    visual.transformer.resblocks.0.ln_1.weight = blocks.0.norm1.weight
    visual.transformer.resblocks.0.attn.in_proj_weight = blocks.0.attn.qkv.weight
    visual.transformer.resblocks.0.attn.in_proj_bias = blocks.0.attn.qkv.bias
    visual.transformer.resblocks.0.attn.out_proj.weight = blocks.0.attn.proj.weight
    visual.transformer.resblocks.0.ln_2.weight = blocks.0.norm2.weight
    visual.transformer.resblocks.0.mlp.c_fc.weight = blocks.0.mlp.fc1.weight
    visual.transformer.resblocks.0.mlp.c_proj.weight = blocks.0.mlp.fc2.weight
    visual.ln_post.weight = norm.weight
"""
_HF_CLIP = """
    vision_model.embeddings.class_embedding = cls_token
    vision_model.embeddings.position_embedding.weight = pos_embed
    vision_model.embeddings.patch_embedding.weight = patch_embed.proj.weight
    vision_model.pre_layrnorm.weight = norm_pre.weight
    vision_model.encoder.layers.0.layer_norm1.weight = blocks.0.norm1.weight
    vision_model.encoder.layers.0.self_attn.out_proj.weight = blocks.0.attn.proj.weight
    vision_model.encoder.layers.0.layer_norm2.weight = blocks.0.norm2.weight
    vision_model.encoder.layers.0.mlp.fc1.weight = blocks.0.mlp.fc1.weight
    vision_model.encoder.layers.0.mlp.fc2.weight = blocks.0.mlp.fc2.weight
    vision_model.post_layernorm.weight = norm.weight
"""
_PADDLECLAS = """
    cls_token = cls_token
    patch_embed.proj.weight = patch_embed.proj.weight
    ln_pre.weight = norm_pre.weight
    blocks.0.attn.qkv.weight = blocks.0.attn.qkv.weight
    head.fc_norm.weight = fc_norm.weight
    head.fc_head.weight = head.weight
"""
_OLD_TIMM = """
    cls_token = cls_token
    patch_embed.proj.weight = patch_embed.proj.weight
    pre_logits.fc.weight = pre_logits.fc.weight
    fc_norm.weight = fc_norm.weight
    reg_token = reg_token
    blocks.0.attn.q_norm.weight = blocks.0.attn.q_norm.weight
"""
_BIG_VISION = """
    params/cls = cls_token
    params/pos_embedding = pos_embed
    params/embedding/bias = patch_embed.proj.bias
    params/embedding/kernel = patch_embed.proj.weights_as_they_are
    params/Transformer/encoderblock_0/LayerNorm_0/scale = blocks.0.norm1.weight
    params/Transformer/encoderblock_0/LayerNorm_1/scale = blocks.0.norm2.weight
    params/Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel = blocks.0.mlp.fc1.weight
    params/Transformer/encoderblock_0/MlpBlock_0/Dense_1/kernel = blocks.0.mlp.fc2.weight
    params/Transformer/encoder_norm/scale = norm.weight
"""


@pytest.mark.parametrize(
    ("library", "text"),
    [
        ("the official DINOv2 code", DINOV2),
        ("the official DeiT III code", _DEIT_III),
        ("Hugging Face's DINOv2", _HF_DINOV2),
        ("mmpretrain's ViT", _MMPRETRAIN),
        ("OpenAI's CLIP or OpenCLIP", OPENAI_CLIP),
        ("Hugging Face's CLIP", _HF_CLIP),
        ("PaddleClas", _PADDLECLAS),
        ("timm", _OLD_TIMM),
        ("Google's ViT", _BIG_VISION.replace("weights_as_they_are", "weight")),
    ],
)
def test_names(library, text):
    arrays, names = arrays_of(text)
    named = to_timm(arrays, "file")
    assert (named.library, named.dropped, named.said) == (library, (), ())
    assert named.arrays.keys() == set(names.values())
    for theirs, timm in names.items():
        if not theirs.endswith("embedding/kernel"):  # its axes change places
            assert (named.arrays[timm] == arrays[theirs]).all(), timm


def test_scaled_branches_in_the_names_of_clip_are_of_perception_encoder_without_a_projection():
    """Its rotary positions are computed: no array tells them."""
    arrays, _ = arrays_of(
        OPENAI_CLIP + "    visual.transformer.resblocks.0.ls_1.gamma = blocks.0.ls1.gamma"
    )
    with pytest.raises(UserError, match="holds Perception Encoder weights"):
        to_timm(arrays, "file")
    arrays["visual.proj"] = arrays["visual.ln_post.weight"]
    assert "blocks.0.ls1.gamma" in to_timm(arrays, "file").arrays


def _body(text: str, *without: str) -> dict[str, np.ndarray]:
    arrays, _ = arrays_of(text)
    return {name: array for name, array in arrays.items() if name not in without}


@pytest.mark.parametrize(
    ("arrays", "dropped", "said"),
    [
        (
            _body(_DEIT_III),
            ("mask_token", "decoder_pos_embed", "decoder_blocks.0.norm1.bias"),
            (
                "dropped the mask token (1 arrays)",
                "dropped the decoder of the pre-training (2 arrays)",
            ),
        ),
        (
            _body(_DEIT_III),
            ("head.mlp.0.weight", "head.last_layer.weight_g"),
            ("dropped the projection head of the pre-training (2 arrays)",),
        ),
        (
            {f"backbone.{name}": array for name, array in _body(_DEIT_III).items()},
            ("head.mlp.0.weight", "linear_head.weight"),
            (
                "took the prefix 'backbone.' off the names",
                "dropped the projection head of the pre-training (1 arrays)",
                "dropped the head on several layers (1 arrays)",
            ),
        ),
        (
            {f"base_encoder.{name}": array for name, array in _body(_DEIT_III).items()},
            ("momentum_encoder.patch_embed.proj.weight", "predictor.0.weight"),
            (
                "took the prefix 'base_encoder.' off the names",
                "dropped the moving average of the encoder (1 arrays)",
                "dropped the projection head of the pre-training (1 arrays)",
            ),
        ),
        (
            {f"visual.trunk.{name}": array for name, array in _body(_DEIT_III).items()},
            ("text.transformer.embeddings.word_embeddings.weight", "visual.head.proj.weight"),
            (
                "took the prefix 'visual.trunk.' off the names",
                "dropped the text part (1 arrays)",
                "dropped the projection to the space of texts (1 arrays)",
            ),
        ),
        (
            {f"vit.{name}": array for name, array in _body(_HF_DINOV2).items()},
            ("decoder.decoder_norm.weight", "decoder.mask_token"),
            ("dropped the decoder of the pre-training (2 arrays)",),
        ),
        (
            _body(_HF_DINOV2),
            ("pooler.dense.weight", "pooler.dense.bias", "embeddings.mask_token"),
            ("dropped the pooler (2 arrays)", "dropped the mask token (1 arrays)"),
        ),
        (
            _body(OPENAI_CLIP),
            (
                "visual.proj",
                "transformer.resblocks.0.ln_1.weight",
                "positional_embedding",
                "token_embedding.weight",
                "logit_scale",
            ),
            (
                "dropped the projection to the space of texts (1 arrays)",
                "dropped the text part (4 arrays)",
            ),
        ),
        (
            _body(_HF_CLIP),
            (
                "text_model.encoder.layers.0.layer_norm1.weight",
                "vision_model.embeddings.position_ids",
                "visual_projection.weight",
                "classifier.weight",
            ),
            (
                "dropped the text part (1 arrays)",
                "dropped buffers that follow from the shape (1 arrays)",
                "dropped the projection to the space of texts (1 arrays)",
                "dropped the head, which takes the mean of the patches without the last norm "
                "(1 arrays)",
            ),
        ),
        (
            _body(_MMPRETRAIN),
            ("backbone.mask_token", "neck.decoder_pos_embed"),
            (
                "dropped the mask token (1 arrays)",
                "dropped the decoder of the pre-training (1 arrays)",
            ),
        ),
    ],
)
def test_what_is_dropped(arrays, dropped, said):
    named = to_timm({**arrays, **{name: _random(_D) for name in dropped}}, "file")
    assert named.arrays.keys() == to_timm(arrays, "file").arrays.keys()
    assert named.dropped == dropped
    assert named.said == said


@pytest.mark.parametrize("layout", ["PyTorch", "Paddle"])
def test_a_head_on_twice_the_width(layout):
    """DINOv2's heads at Hugging Face take the class token and the mean of the patches."""
    arrays, _ = arrays_of(_HF_DINOV2)
    weight = _random(5, 2 * _D) if layout == "PyTorch" else _random(2 * _D, 5)
    named = to_timm({**arrays, "classifier.weight": weight, "classifier.bias": _random(5)}, "file")
    assert named.dropped == ("classifier.weight", "classifier.bias")
    assert named.said == (
        "dropped the head, which takes the class token and the mean of the patches (2 arrays)",
    )
    own = {"classifier.weight": _random(5, _D), "classifier.bias": _random(5)}
    assert to_timm({**arrays, **own}, "file").dropped == ()


@pytest.mark.parametrize(
    ("text", "prefix", "places"),
    [(DINOV2, "", "pos_embed"), (_HF_DINOV2, "embeddings.", "embeddings.position_embeddings")],
)
def test_registers_without_places(text, prefix, places):
    """timm's form: the place of the class token is in that token, and registers have none."""
    arrays, _ = arrays_of(text)
    arrays[f"{prefix}register_tokens"] = _random(1, 4, _D)
    named = to_timm(arrays, "file")
    assert named.library.endswith("with registers")
    assert named.said == ("added the position of the class token to that token",)
    assert (named.arrays["reg_token"] == arrays[f"{prefix}register_tokens"]).all()
    token = arrays[f"{prefix}cls_token"] + arrays[places][:, :1]
    assert (named.arrays["cls_token"] == token).all()
    assert (named.arrays["pos_embed"] == arrays[places][:, 1:]).all()


def test_swiglu_of_version_5_in_memory():
    """The first half of timm's layer is the gate."""
    arrays = _body(
        _HF_DINOV2,
        "encoder.layer.0.mlp.weights_in.weight",
        "encoder.layer.0.mlp.weights_in.bias",
        "encoder.layer.0.mlp.weights_out.weight",
    )
    for part in ("gate", "up"):
        arrays[f"encoder.layer.0.mlp.{part}_proj.weight"] = _random(12, _D)
        arrays[f"encoder.layer.0.mlp.{part}_proj.bias"] = _random(12)
    arrays["encoder.layer.0.mlp.down_proj.weight"] = _random(_D, 12)
    found = to_timm(arrays, "file").arrays
    gate, up = (arrays[f"encoder.layer.0.mlp.{part}_proj.weight"] for part in ("gate", "up"))
    assert (found["blocks.0.mlp.fc1.weight"] == np.concatenate([gate, up])).all()
    assert found["blocks.0.mlp.fc1.bias"].shape == (24,)


def test_tokens_and_positions_get_their_batch_axis():
    arrays, _ = arrays_of(OPENAI_CLIP)
    flat = {"visual.class_embedding": (_D,), "visual.positional_embedding": (5, _D)}
    for name, shape in flat.items():
        arrays[name] = arrays[name].reshape(shape)
    found = to_timm(arrays, "file").arrays
    assert found["cls_token"].shape == (1, 1, _D)
    assert found["pos_embed"].shape == (1, 5, _D)


def test_arrays_of_absurd_shapes():
    """They go on to where every shape is checked; nothing breaks on the way."""
    for text in (DINOV2, _HF_DINOV2, _MMPRETRAIN, OPENAI_CLIP, _BIG_VISION):
        for shape in ((), (0,), (0, 0), (1, 0, 3, 4), (2, 0, 4)):
            arrays, _ = arrays_of(text)
            odd = {name: np.zeros(shape, "float32") for name in arrays}
            odd |= {"head.weight": np.zeros(shape), "register_tokens": np.zeros(shape)}
            to_timm(odd, "file")
