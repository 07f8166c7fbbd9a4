"""Names of other libraries are understood by a rule: every published one finds ours."""

from __future__ import annotations

import pytest

import models
from common.errors import nearest
from common.similar_names import similar
from configs import default
from data.sets.registry import DATASETS
from models.weights.sources import published
from program.config.config_fields import flattened

_FIELDS = [*flattened(default.get_config())]
_OPTIMIZERS = ["adamw", "momentum", "sgd", "lamb", "lars"]


@pytest.mark.parametrize("ours", [name for name in models.SUGGESTED if published.timm_name(name)])
def test_all_names_of_timm(ours):
    theirs = published.timm_name(ours)
    tagged = (source for source in published.sources(ours) if f"/{theirs}." in source)
    for spelling in (theirs, *tagged):
        assert similar(spelling, models.SUGGESTED) == [ours], spelling


def test_own_names_with_other_separators_and_capitals():
    for name in models.SUGGESTED:
        for spelling in (name.upper(), name.replace("_", "-"), name.replace("_", "")):
            assert similar(spelling, models.SUGGESTED) == [name], spelling


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ViT-B_16", "vit_b_16"),
        ("ViT-L/16-384", "vit_l_16_384"),
        ("google/vit-base-patch16-224", "vit_b_16"),
        ("google/vit-huge-patch14-224-in21k", "vit_h_14"),
        ("facebook/deit-tiny-patch16-224", "deit_ti"),
        ("facebook/deit-base-distilled-patch16-384", "deit_b_distilled_384"),
        ("microsoft/swin-large-patch4-window12-384-in22k", "swin_l_384"),
        ("microsoft/resnet-50", "resnet_50"),
        ("ViT_base_patch16_224", "vit_b_16"),
        ("DeiT_tiny_distilled_patch16_224", "deit_ti_distilled"),
        ("SwinTransformer_tiny_patch4_window7_224", "swin_ti"),
        ("ResNet50", "resnet_50"),
        ("ResNet50_vd", "resnet_50"),
        ("swin_t", "swin_ti"),
        ("cait_s36_384", "cait_s_36_384"),
        ("CaiT-S36", "cait_s_36_384"),
        ("vit_base", "vit_b_16"),
        ("vit_base_384", "vit_b_16_384"),
        ("vit_n2", "vit_n_2"),
        ("rexnet_130", "rexnet_1_3"),
    ],
)
def test_models_of_other_libraries(theirs, ours):
    assert similar(theirs, models.SUGGESTED) == [ours]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("cifar-100", "cifar100"),
        ("CIFAR10", "cifar10"),
        ("tiny-imagenet", "tiny_imagenet"),
        ("tiny-imagenet-200", "tiny_imagenet"),
        ("TinyImageNet", "tiny_imagenet"),
        ("ImageFolder", "folder"),
        ("imagenet-1k", "imagenet"),
        ("digit", "digits"),
    ],
)
def test_data_sets_of_other_libraries(theirs, ours):
    assert similar(theirs, DATASETS) == [ours]


@pytest.mark.parametrize(
    ("theirs", "ours"), [("AdamW", "adamw"), ("SGD", "sgd"), ("adam", "adamw")]
)
def test_optimisers_of_other_libraries(theirs, ours):
    assert similar(theirs, _OPTIMIZERS) == [ours]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("lr", "optim.lr"),
        ("train.lr", "optim.lr"),
        ("optim.learning_rate", "optim.lr"),
        ("optim.lrr", "optim.lr"),
        ("optim.l", "optim.lr"),
        ("optm.lr", "optim.lr"),
        ("optim.wd", "optim.weight_decay"),
        ("model.dropout", "model.drop_rate"),
        ("drop_path", "model.drop_path_rate"),
        ("num_workers", "data.workers"),
        ("scheduler", "optim.schedule"),
    ],
)
def test_fields_by_their_last_part(theirs, ours):
    assert similar(theirs, _FIELDS) == [ours]


def test_equally_near_names_come_in_their_order():
    assert similar("cifar", DATASETS) == ["cifar10", "cifar100"]
    assert nearest("cifar", DATASETS) == "; did you mean 'cifar10' or 'cifar100'?"


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "mobilenet_v2", "x", "", "/", ".", "224", "图"]
)
def test_what_is_like_nothing(name):
    assert similar(name, models.SUGGESTED) == []
    assert nearest(name, ["b", "a"]) == "; known: a, b"


def test_a_name_of_megabytes_is_cut():
    assert similar("vit_b_16" + "x" * 10**6, ["q"]) == []
