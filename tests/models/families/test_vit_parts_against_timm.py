"""The parts of ViT, the table of timm's names, and whole models, against timm where it is there."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import paddle
import pytest
import vit_variants as variants
from conftest import import_timm

import models
from engine.plan import free_memory
from models.families.parts import PLAIN, Parts
from models.families.timm_vits import TIMM_VITS
from models.weights.names import layouts
from models.weights.names.libraries.timm_eva import is_eva

pytestmark = pytest.mark.slow

# Models that have all the parts between them, and the memory that each needs, in GB.
_WHOLE = {
    "vit_small_patch14_dinov2": 2,
    "vit_small_patch14_reg4_dinov2": 2,
    "vit_base_patch16_clip_quickgelu_224": 3,
    "vit_base_patch16_clip_224": 3,
    "deit3_small_patch16_224": 2,
    "vit_medium_patch16_gap_240": 2,
    "vit_betwixt_patch16_reg4_gap_256": 2,
    "vit_base_patch16_siglip_gap_224": 3,
    "vit_so150m2_patch16_reg1_gap_256": 3,
    "flexivit_small": 2,
    "vit_small_plus_patch16_dinov3_qkvb": 2,
    "eva02_base_patch14_224": 3,
}


def _perturbed(model):
    """Adds noise to the weights of a model of timm's."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=generator), alpha=0.05)
    return model


def _reference(parts: Parts, distilled: bool):
    """Returns timm's small model with some parts."""
    from timm.models.deit import VisionTransformerDistilled
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn

    shape = {"img_size": variants.SIZE, "patch_size": 8, "embed_dim": 48, "depth": 3}
    sizes = {"num_heads": parts.heads or 3, "mlp_ratio": 2.0, "num_classes": variants.CLASSES}
    if is_eva(parts):
        return _perturbed(Eva(**{**shape, **sizes, **variants.eva_fields(parts)}))
    kind = VisionTransformerDistilled if distilled else VisionTransformer
    model = kind(**shape, **sizes, **variants.timm_fields(parts))
    if parts.pre_logits:  # which timm had until 0.6, before its head
        below = nn.Sequential(OrderedDict(fc=nn.Linear(48, parts.pre_logits), act=nn.Tanh()))
        model.head = nn.Linear(parts.pre_logits, variants.CLASSES)
        model.fc_norm = nn.Sequential(model.fc_norm, below)
    return _perturbed(model)


_CASES = [(name, fields, False) for name, fields in variants.FIELDS.items()]
_CASES.append(("distilled", {"layer_scale": 0.3, "norm_pre": True, "patch_bias": False}, True))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "fields", "distilled"), _CASES, ids=[one[0] for one in _CASES])
def test_parts(name, fields, distilled, training):
    """Logits and all gradients."""
    torch = pytest.importorskip("torch")
    import_timm()
    reference = _reference(PLAIN.with_fields(fields), distilled).train(training)
    named = {k.replace("fc_norm.1", "pre_logits"): p for k, p in reference.named_parameters()}
    model = variants.make(fields, distilled=distilled)
    arrays = {key: value.detach().numpy() for key, value in named.items()}
    report = models.assign(model, arrays, "timm")
    assert not report.initialised + report.dropped
    (model.train if training else model.eval)()
    images = variants.images()
    expected = reference(torch.tensor(images))
    factors = np.random.default_rng(2).normal(size=expected.shape).astype("float32")
    (expected * torch.tensor(factors)).sum().backward()
    logits = model(paddle.to_tensor(images))
    found = layouts.to_timm(model, variants.gradients(model, logits))
    expected = {"logits": expected.detach().numpy()}
    variants.agree({"logits": logits.numpy()}, expected, 1e-5)
    variants.agree(found, {key: value.grad.numpy() for key, value in named.items()}, 1e-4)


def _covered(model) -> bool:
    """Returns whether a model of timm's has nothing but our parts."""
    from timm.layers import Attention, LayerNorm
    from timm.models.deit import VisionTransformerDistilled
    from timm.models.eva import Eva
    from timm.models.vision_transformer import Block, VisionTransformer
    from torch import nn

    if type(model) is Eva:
        return _covered_eva(model)
    if type(model) not in (VisionTransformer, VisionTransformerDistilled) or model.attn_pool:
        return False
    block = model.blocks[0]
    return (
        type(block) is Block
        and type(block.attn) is Attention
        and isinstance(block.norm1, (LayerNorm, nn.LayerNorm))
        and isinstance(block.attn.norm, nn.Identity)
        and isinstance(block.mlp.norm, nn.Identity)
        and block.attn.proj.bias is not None
    )


def _covered_eva(model) -> bool:
    """Returns whether an `Eva` of timm's has nothing but our parts."""
    from timm.models.eva import EvaBlock

    block, rope = model.blocks[0], model.rope
    return (
        type(block) is EvaBlock
        and not model.attn_pool
        and not block.attn.gate
        and (block.gamma_1 is None) == (block.gamma_2 is None)
        and not model.rope_mixed
        and (type(rope).__name__ != "RotaryEmbeddingCat" or _rope_of(model) != "")
    )


def _rope_of(model) -> str:
    """Returns what the rotary positions of an `Eva` are called here; empty for none, or others."""
    rope = model.rope
    if rope is None:
        return ""
    if type(rope).__name__ == "RotaryEmbeddingDinoV3":
        return "dinov3" if (rope.temperature, rope.rotate_half) == (100, True) else ""
    given = rope.temperature, rope.ref_feat_shape, rope.grid_indexing, rope.grid_offset
    kinds = {(10000, (16, 16), "ij", 0): "eva", (100, None, "xy", 0): "axial"}
    return kinds.get(given, "")


def _parts_of_eva(model) -> Parts:
    from torch import nn

    block, there = model.blocks[0], lambda layer: not isinstance(layer, nn.Identity)
    attention = block.attn
    of_all, of_queries = (
        getattr(layer, "bias", None) is not None for layer in (attention.qkv, attention.q_proj)
    )
    of_queries = of_queries or getattr(attention, "q_bias", None) is not None
    return Parts(
        layer_scale=block.init_values or 0.0,
        registers=0 if model.reg_token is None else model.reg_token.shape[1],
        class_token=model.cls_token is not None,
        class_position=not model.no_embed_class,
        qkv_bias=of_all or of_queries,
        key_bias=of_all or not of_queries,
        norm_epsilon=block.norm1.eps,
        mlp="plain" if type(block.mlp).__name__ == "Mlp" else "swiglu",
        pool=model.global_pool,
        final_norm=there(model.norm) or there(model.fc_norm),
        fc_norm=there(model.fc_norm),
        positions=model.pos_embed is not None,
        rope=_rope_of(model),
        attention_norm=there(attention.norm),
        mlp_norm=there(block.mlp.norm),
    )


def _parts_of(model) -> Parts:
    """Returns the parts of a model of timm's, from its layers."""
    from torch import nn

    if type(model).__name__ == "Eva":
        return _parts_of_eva(model)
    block, there = model.blocks[0], lambda layer: not isinstance(layer, nn.Identity)
    gated = type(block.mlp).__name__ == "GluMlp"
    activation = type(block.mlp.act).__name__
    names = {"GELU": "gelu", "QuickGELU": "quick_gelu", "GELUTanh": "gelu_tanh", "SiLU": "silu"}
    return Parts(
        layer_scale=block.ls1.init_values if there(block.ls1) else 0.0,
        registers=model.num_reg_tokens,
        class_token=model.has_class_token,
        class_position=not model.no_embed_class,
        norm_pre=there(model.norm_pre),
        patch_bias=model.patch_embed.proj.bias is not None,
        qkv_bias=block.attn.qkv.bias is not None,
        qk_norm=there(block.attn.q_norm),
        norm_epsilon=block.norm1.eps,
        activation="gelu" if gated else names[activation],
        mlp="swiglu" if gated else "plain",
        pool=model.global_pool,
        pool_prefix=model.pool_include_prefix,
        final_norm=there(model.norm) or there(model.fc_norm),
        fc_norm=there(model.fc_norm),
    )


def _meta_models():
    """Yields the names of timm's ViT, DeiT and EVA, and each model, made without memory."""
    torch, timm = pytest.importorskip("torch"), import_timm()
    for module in ("vision_transformer", "deit", "eva"):
        for name in timm.list_models(module=module):
            with torch.device("meta"):
                yield name, timm.create_model(name, num_classes=1000)


def _tags(name: str, known: dict) -> tuple[str, ...]:
    """Returns the tags of weights at Hugging Face that fit a model."""
    tags = [tag for tag, config in known[name].cfgs.items() if config.hf_hub_id]
    quick = name.replace("_clip_", "_clip_quickgelu_")
    if quick != name and quick in known and "quickgelu" not in name:
        tags = [tag for tag in tags if tag not in known[quick].cfgs]
    return tuple(tags)


def test_the_table_is_timms():
    """All names that the parts cover, and all that the table says of them."""
    import_timm()
    from timm.models._registry import _model_default_cfgs as known

    covered = set()
    for name, model in _meta_models():
        if not _covered(model):
            continue
        covered.add(name)
        ours, block, config = TIMM_VITS[name], model.blocks[0], known[name].default
        patch = model.patch_embed.patch_size[0]
        first = [getattr(block.mlp, one, None) for one in ("fc1", "fc1_g", "fc1_x")]
        hidden = sum(layer.out_features for layer in first if layer)
        assert ours.shape == {
            "width": model.embed_dim,
            "depth": len(model.blocks),
            "heads": block.attn.num_heads,
            "mlp_ratio": hidden / model.embed_dim,
            "patch": patch,
        }, name
        assert ours.parts == _parts_of(model), name
        assert ours.distilled == ("Distilled" in type(model).__name__), name
        assert ours.image_size == config.input_size[1] // patch * patch, name
        assert ours.stats == (
            tuple(config.mean),
            tuple(config.std),
            config.crop_pct,
            config.interpolation,
        ), name
        assert ours.tags == _tags(name, known), name
    assert covered == TIMM_VITS.keys()


@pytest.mark.parametrize("name", _WHOLE)
def test_whole_models(name, tmp_path):
    """Random weights, written by PyTorch and read here; the logits at the real size."""
    torch, timm = pytest.importorskip("torch"), import_timm()
    free = free_memory.memory_figure("/proc/meminfo", "MemAvailable")
    if free is not None and free < _WHOLE[name] << 30:
        pytest.skip("the memory is short")
    reference = _perturbed(timm.create_model(name, num_classes=variants.CLASSES)).eval()
    torch.save(reference.state_dict(), tmp_path / "theirs.pth")
    model = models.create(name, num_classes=variants.CLASSES)
    assert not models.load_weights(model, tmp_path / "theirs.pth").initialised
    model.eval()
    images = variants.images(1, models.native_size(name))
    with torch.no_grad(), paddle.no_grad():
        expected = reference(torch.tensor(images)).numpy()
        found = model(paddle.to_tensor(images)).numpy()
    variants.agree({"logits": found}, {"logits": expected}, 1e-5)


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "flexivit_small"])
def test_first_values_are_of_timms_size(name):
    """Deviation of each array of a block and of the special tokens, within a tenth."""
    timm = import_timm()
    theirs = dict(timm.create_model(name).named_parameters())
    ours = models.create(name).state_dict()
    for key in ("blocks.3.attn.qkv.weight", "blocks.3.mlp.fc2.weight", "pos_embed", "reg_token"):
        if key in theirs:
            expected = theirs[key].detach().numpy().std()
            assert ours[key].numpy().std() == pytest.approx(expected, rel=0.15), key
