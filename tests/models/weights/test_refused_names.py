"""Families that share names with a ViT or a Swin are refused by their own name."""

from __future__ import annotations

import numpy as np
import pytest

import models
from common.errors import UserError
from models.weights.names.translate import to_timm

_VIT = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight")
_NO_PLACES = ("cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight")
_HF = ("embeddings.patch_embeddings.projection.weight", "encoder.layer.0.output.dense.bias")
_SWIN = ("patch_embed.proj.weight", "layers.0.blocks.0.norm1.weight")


@pytest.mark.parametrize(
    ("word", "names"),
    [
        (
            "adapter",
            ["base_model.model.vit.encoder.layer.0.attention.attention.query.lora_A.weight"],
        ),
        ("merge_and_unload", ["vit.encoder.layer.0.attention.attention.query.base_layer.weight"]),
        ("adapter", ["lora_unet.down.lora_down.weight", "lora_unet.x.lora_up.weight"]),
        ("adapter", ["blocks.0.attn.qkv.lora_magnitude_vector.default"]),
        ("adapter", ["blocks.0.attn.qkv.hada_w1_a"]),
        ("BEiT", [*_NO_PLACES, "blocks.0.attn.q_bias", "blocks.0.gamma_1"]),
        ("BEiT", [*_NO_PLACES, "rel_pos_bias.relative_position_bias_table"]),
        ("BEiT", [*_HF, "encoder.layer.0.lambda_1"]),
        ("BEiT", ["beit.embeddings.cls_token", "beit.pooler.layernorm.weight"]),
        ("BEiT", ["backbone.layers.0.attn.q_bias", "backbone.layers.0.gamma_1"]),
        ("BEiT-3", ["beit3.encoder.layers.0.self_attn.q_proj.A.weight"]),
        ("data2vec", ["data2vec_vision.embeddings.cls_token", "data2vec_vision.encoder.x"]),
        ("data2vec", [*_HF, "encoder.layer.0.lambda_1"]),
        ("EVA", ["backbone.layers.0.attn.q_bias", "backbone.layers.0.attn.v_bias"]),
        ("learned", [*_NO_PLACES, "blocks.0.gamma_1", "rope.freqs"]),
        ("Sapiens2", [*_NO_PLACES, "storage_tokens", "blocks.0.attn.wq.weight"]),
        ("SigLIP", [*_VIT, "attn_pool.latent", "attn_pool.q.weight"]),
        ("SigLIP", ["vision_model.embeddings.patch_embedding.weight", "vision_model.head.probe"]),
        ("SigLIP", [f"vision_model.embeddings.patch_embedding.{x}" for x in ("weight", "bias")]),
        ("SigLIP", ["visual.trunk.patch_embed.proj.weight", "visual.trunk.attn_pool.latent"]),
        ("version 2", [*_SWIN, "layers.0.blocks.0.attn.cpb_mlp.0.weight"]),
        ("version 2", ["features.0.0.weight", "features.1.0.attn.logit_scale"]),
        (
            "version 2",
            [f"swinv2.{_HF[0]}", "x.attention.self.continuous_position_bias_mlp.0.bias"],
        ),
        ("relative", [*_VIT, "blocks.0.attn.rel_pos.mlp.fc1.weight"]),
        ("parallel", [*_VIT, "blocks.0.attns.0.norm.weight"]),
        ("parallel", [*_VIT, "blocks.0.in_norm.weight", "blocks.0.attn_out_proj.weight"]),
        ("hybrid", ["patch_embed.backbone.stem.conv.weight", "patch_embed.proj.weight"]),
        ("hybrid", ["transformer.embeddings.hybrid_model.root.conv.weight"]),
        ("hybrid", ["conv_root/kernel", "embedding/kernel"]),
        ("SAM", ["image_encoder.patch_embed.proj.weight", "mask_decoder.iou_token.weight"]),
        ("detector", [*_HF, "embeddings.detection_tokens"]),
        ("detector", ["backbone.patch_embed.projection.weight", "decode_head.conv_seg.weight"]),
        ("diffusion", ["model.diffusion_model.input_blocks.0.0.weight"]),
        ("diffusion", ["down_blocks.0.resnets.0.conv1.weight"]),
        ("text", ["embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.bias"]),
        ("text", ["wte.weight", "h.0.attn.c_attn.weight"]),
        ("text", ["text_model.encoder.layers.0.mlp.fc1.weight"]),
        ("ResNet", ["visual.layer1.0.conv1.weight", "visual.attnpool.k_proj.weight"]),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_family_is_refused_by_its_name(word, names, prefix):
    arrays = {prefix + name: np.zeros(3, "float32") for name in names}
    with pytest.raises(UserError, match=word) as found:
        to_timm(arrays, "some/file.pth")
    assert str(found.value).startswith("some/file.pth: holds ")


def test_names_with_newlines_are_names():
    """All names are searched as one text."""
    arrays = {f"{name}\nx": np.zeros(3, "float32") for name in _VIT}
    assert to_timm(arrays, "file").library == ""


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("AIMv2", [*_VIT, "blocks.0.mlp.fc1_g.weight", "patch_embed.norm.weight"]),
        ("XCiT", ["blocks.0.local_mp.conv1.weight", "cls_attn_blocks.0.attn.q.weight"]),
        ("MaxViT", ["stages.0.blocks.0.attn_grid.attn.rel_pos.mlp.fc1.weight"]),
        ("ConvNeXt", ["stem.0.weight", "stages.0.blocks.0.conv_dw.weight"]),
        ("ConvNeXt", ["downsample_layers.0.0.weight", "stages.0.0.dwconv.weight"]),
        ("ConvNeXt", ["features.0.0.weight", "features.1.0.layer_scale"]),
        ("EfficientNet", ["conv_stem.weight", "blocks.0.0.conv_dw.weight"]),
        ("MobileNet", ["features.0.0.weight", "features.1.conv.0.0.weight"]),
        ("PVT", ["patch_embed.proj.weight", "stages.0.blocks.0.mlp.dwconv.weight"]),
        ("VOLO", ["patch_embed.proj.weight", "post_network.0.attn.kv.weight"]),
        ("TNT", ["pixel_embed.proj.weight", "blocks.0.proj.weight"]),
        ("CrossViT", ["pos_embed_0", "pos_embed_1", "patch_embed.1.proj.weight"]),
        ("Hiera", ["patch_embed.proj.weight", "blocks.2.proj.weight"]),
        ("vit-pytorch", ["to_patch_embedding.2.weight", "transformer.layers.0.0.to_qkv.weight"]),
        ("ResNet v2", ["stem.conv.weight", "stages.0.blocks.0.conv2.weight"]),
        ("VGG", ["features.0.weight", "classifier.6.weight"]),
    ],
)
def test_another_network_is_refused_by_its_name(word, names):
    for prefix in ("", "module."):
        with pytest.raises(UserError, match=f"file: holds weights of .*{word}"):
            to_timm({f"{prefix}{name}": np.zeros(3) for name in names}, "file")


@pytest.mark.parametrize("name", ["levit_128s", "t2t_vit_7", "rexnet_1_0", "hardnet_68_ds"])
def test_the_networks_of_this_project_are_not_refused(name):
    arrays = {key: np.zeros(3) for key in models.create(name, num_classes=5).state_dict()}
    assert to_timm(arrays, "file").dropped == ()
