"""The facts of the weights that each published config begins from."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT, import_timm

import models
from configs import imagenet_resnet_50_fixres_384
from models.weights.sources import locations
from tools.reproduction import starting_weights

_FIXRES = imagenet_resnet_50_fixres_384.WEIGHTS
# timm's name of the same weights.
_TIMMS = {
    "google/imagenet21k/ViT-B_16": "vit_base_patch16_224.orig_in21k",
    "google/imagenet21k/ViT-L_16": "vit_large_patch16_224.orig_in21k",
    "deit_b_distilled_384": "deit_base_distilled_patch16_384.fb_in1k",
    "cait_s_36_384": "cait_s36_384.fb_dist_in1k",
    # Paddle's and Facebook's own training, with the pixels of torchvision's.
    _FIXRES: "resnet50.tv_in1k",
    "resnet_152": "resnet152.tv_in1k",
}
_EVERY = [
    pytest.param(weights, id=f"{weights.config}-{weights.role}")
    for weights in starting_weights.every()
]


def test_every_config_that_tells_a_published_figure_is_there():
    """A config with weights or a teacher says what it begins from, small ones aside."""
    from program.config import config_files

    found = set()
    for path in (ROOT / "configs").glob("*.py"):
        if path.stem in ("__init__", "default", "allowed_values"):
            continue
        config = config_files.load_file(str(path))
        if (config.model.pretrained or config.distill.teacher) and not config.train.recipe:
            found.add(path.stem)
    assert found == set(starting_weights.PUBLISHED_CONFIGS)
    assert {weights.config for weights in starting_weights.every()} == found


@pytest.mark.parametrize("weights", _EVERY)
def test_facts_agree_with_each_other(weights):
    assert weights.address.startswith("https://")
    assert weights.address.endswith(weights.file)
    assert weights.address == locations.address_of(weights.source).url
    assert bool(weights.md5 or weights.sha256) != bool(weights.no_checksum)
    assert weights.licence.startswith(("Apache-2.0", "MIT", "CC BY-NC 4.0"))


def test_what_happens_to_the_head():
    heads = {weights.config: weights.head.split(",")[0] for weights in starting_weights.every()}
    assert heads["cifar100_vit_b_384"] == "replaced (21843 classes) by one of 100 classes"
    assert heads["imagenet_vit_l_384"] == "replaced (21843 classes) by one of 1000 classes"
    assert heads["tiny_imagenet_swin_l_384"] == "replaced (1000 classes) by one of 200 classes"
    assert heads["imagenet_resnet_50_fixres_384"] == "kept (1000 classes)"
    assert heads["imagenet_deit_ti_distilled"] == "kept (1000 classes)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", [source for source in starting_weights.stated_sources() if "google" not in source]
)
def test_the_number_of_values_is_that_of_the_model(source):
    name = "resnet_50" if source == _FIXRES else models.model_of(source)
    model = models.create(name)
    count = sum(int(value.size) for value in model.state_dict().values())
    assert starting_weights.values_of(source) == count


@pytest.mark.parametrize("name", ["vit_b_16", "vit_l_16"])
def test_the_number_of_values_of_googles_files(name):
    """The body, with the layer below the head and a head for 21,843 classes."""
    source = {"vit_b_16": "google/imagenet21k/ViT-B_16", "vit_l_16": "google/imagenet21k/ViT-L_16"}
    width = {"vit_b_16": 768, "vit_l_16": 1024}[name]
    from models import flops

    body = flops.of_name(name)[0] - 1000 * (width + 1)
    expected = body + (width + 21_843) * (width + 1)
    assert starting_weights.values_of(source[name]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("weights", _EVERY)
def test_against_timms_table(weights):
    timm = import_timm()
    name = _TIMMS.get(weights.source, weights.source.partition("/")[2])
    theirs = timm.models.get_pretrained_cfg(name)
    # Tiny ImageNet's published runs normalise with ImageNet's numbers, whatever the weights expect.
    if weights.config.startswith("tiny_imagenet"):
        assert (weights.mean, weights.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    else:
        assert (weights.mean, weights.std) == (theirs.mean, theirs.std)
    if theirs.num_classes:  # timm has taken the head of ImageNet-21k off
        assert weights.head_classes == theirs.num_classes
    if weights.publisher == "timm":
        assert weights.address.startswith(f"https://huggingface.co/{theirs.hf_hub_id}/")
    if weights.publisher not in ("Paddle", "Facebook"):
        assert weights.licence.lower().startswith(theirs.license)
    if weights.published_address:
        assert weights.published_address == theirs.url
    heads = theirs.classifier if isinstance(theirs.classifier, tuple) else (theirs.classifier,)
    assert len(heads) == 1 + (weights.source == "deit_b_distilled_384")


@pytest.mark.parametrize("weights", [one for one in _EVERY if one.values[0].publisher == "PPIM"])
def test_against_ppims_code(weights):
    import ppim.models

    family = getattr(ppim.models, weights.source.partition("_")[0])
    assert family.urls[weights.source] == weights.address
    transform = {type(step).__name__: step for step in family.transforms_384.transforms}
    normalise, resize = transform["Normalize"], transform["Resize"]
    assert tuple(normalise.mean) == weights.mean
    assert tuple(normalise.std) == weights.std
    assert resize.interpolation == weights.interpolation
    assert re.fullmatch(r".*filename%3D" + re.escape(weights.file), weights.address)


def test_the_docs_have_every_config_and_file():
    text = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")
    for weights in starting_weights.every():
        assert f"`{weights.config}`" in text
        assert f"`{weights.file}`" in text
