"""What a model is said to do by its family is what the model does."""

from __future__ import annotations

import pytest

import models
from common.errors import UserError

_NAMES = ("vit_n_8", "vit_n_8_distilled", "cait_xxs_24", "swin_ti", "resnet_18", "levit_128s")


@pytest.mark.parametrize("name", [*_NAMES, "t2t_vit_7", "vit_xsmall_patch16_clip_224"])
def test_a_model_does_what_is_said(name):
    said, model = models.abilities(name), models.create(name)
    assert said.blocks == len(model.block_groups()) - 1 or (name, said.blocks) == ("t2t_vit_7", 0)
    assert bool(said.batch_norms) >= bool(models.batch_norms(model))
    if said.attention_dropout:
        assert models.random_layers(models.create(name, attn_drop_rate=0.1))
    else:
        with pytest.raises(UserError, match="attn_drop_rate"):
            models.create(name, attn_drop_rate=0.1)
    if said.patch:
        size = 3 * said.patch
        assert models.create(name, image_size=size)


def test_an_unknown_name():
    with pytest.raises(UserError, match="'deit_x' is not known"):
        models.abilities("deit_x")
