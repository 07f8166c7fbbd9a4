"""The list of the models."""

from __future__ import annotations

import json

import pytest
from conftest import run_program

import models
from models import flops
from tools.models import rows


def test_the_table_and_its_json(tmp_path):
    done = run_program(
        "-m", "tools.models", "vit_ti_32", "resnet_18", "--json", str(tmp_path / "list.json")
    )
    assert done.returncode == 0, done.stderr
    counts = f"{'resnet_18':40}    224    11,689,512        1.814 G"
    assert f"{counts}  resnet_18 timm/resnet18.{{tv_in1k,a1_in1k}}\n" in done.stdout
    found = {row["name"]: row for row in json.loads((tmp_path / "list.json").read_text())}
    assert found.keys() == {"vit_ti_32", "vit_ti_32_384", "resnet_18"}
    assert found["vit_ti_32"]["weights"] == []
    assert found["resnet_18"]["weights"][1] == "timm/resnet18.tv_in1k"


def test_all_names_at_once():
    found = list(rows([], names_only=True))
    assert [row["name"] for row in found] == list(models.MODELS)
    assert all(
        row["weights"]
        for row in found
        if row["name"].startswith(("deit", "rexnet", "repvgg", "dla"))
    )


def test_a_word_that_no_name_has():
    done = run_program("-m", "tools.models", "vit_ti_61")
    assert done.returncode == 2
    assert "did you mean 'vit_ti_16'" in done.stderr


def test_a_vit_is_counted_by_two_blocks():
    """Also with parts, a mean and a second head; the other counts are those of the whole model."""
    for name in ("vit_n_8_distilled", "vit_xsmall_patch16_clip_224", "test_vit2"):
        model = models.create(name)
        multiply_adds = flops.cost(model, models.native_size(name)).multiply_adds
        assert flops.of_name(name) == (flops.parameters(model), multiply_adds), name


@pytest.mark.slow
def test_every_model_can_be_built():
    for row in rows([]):
        assert row["parameters"] > 0, row
        assert row["multiply_adds"] > 0, row
