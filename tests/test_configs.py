"""Every config in the tree is valid; every one starts at its full size."""

from __future__ import annotations

import pytest
from conftest import ROOT, run_program

import data
import models
from configs.allowed_values import AUTO
from engine.commands import dry_run
from program.config import config_fields, config_files, config_validation

_CONFIGS = sorted(
    path.stem
    for path in (ROOT / "configs").glob("*.py")
    if path.stem not in ("__init__", "default", "allowed_values")
)


@pytest.mark.parametrize("name", _CONFIGS)
def test_config_is_valid_and_explained(name):
    path = ROOT / "configs" / f"{name}.py"
    config = config_files.load_file(str(path))
    config_validation.validate(config)
    assert config.model.name in models.MODELS or (config.train.recipe, config.model.name) == (
        "fine_tune",
        AUTO,
    )
    assert config.data.name in data.DATASETS
    assert "python" in path.read_text().split('"""')[1], "the docstring gives the command"


# Configs whose many rows take as long as all others together.
_LONG = (
    "tiny_imagenet_cait_s_36_384",
    "tiny_imagenet_deit_b_distilled_384",
    "tiny_imagenet_swin_l_384",
    "tiny_imagenet_vit_l_384",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", _CONFIGS)
def test_config_starts_at_full_size(name, painted):
    words = [f"--config=configs/{name}.py", "--dry_run"]
    if name.startswith("folder"):
        words.append(f"--config.data.root={painted}")
    done = run_program("main.py", *words)
    assert done.returncode == 0, done.stderr
    assert "one step on 2 made-up images" in done.stdout


def _variants(name):
    """`(label, fields)` of a config as it is, each of its stages, and each of its rows."""
    path = str(ROOT / "configs" / f"{name}.py")
    stages, rows = (
        config_files.load_table(path, function) for function in ("get_stages", "get_rows")
    )
    return [("as it is", {}), *stages.items(), *rows.items()]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in _LONG else ())
        for name in _CONFIGS
        if not name.startswith("folder")
    ],
)
def test_every_stage_and_row_takes_a_step(name, capsys):
    """With a small model in place of the real one, and of the teacher."""
    for label, fields in _variants(name):
        config = config_fields.changed(
            config_files.load_file(str(ROOT / "configs" / f"{name}.py")), fields
        )
        small = {
            "model.name": "resnet_18" if config.model.zero_gamma else "vit_n_8",
            "model.image_size": 32,
            "model.pretrained": "",
            "model.train_head": "each",
        }
        small.update(
            {"distill.teacher": "vit_n_8", "distill.image_size": 32}
            if config.distill.teacher
            else {}
        )
        config = config_fields.changed(config, small)
        config_validation.validate(config)
        config_validation.validate_length(config)
        assert dry_run.dry_run({label: config}) == 0
        assert "one step on 2 made-up images" in capsys.readouterr().out, label


@pytest.mark.parametrize("name", _CONFIGS)
def test_rows_differ(name):
    """A row that changes nothing is a typing error."""
    before = config_fields.flattened(config_files.load_file(str(ROOT / "configs" / f"{name}.py")))
    for label, fields in _variants(name)[1:]:
        assert any(before[field] != value for field, value in fields.items()) or name.endswith(
            "fixres"
        ), label


@pytest.mark.parametrize(
    "name",
    [
        *("cifar100_vit_b_384", "cifar100_vit_l_384", "imagenet_vit_b_384", "imagenet_vit_l_384"),
        "cifar100_deit_b_distilled_384",
    ],
)
def test_a_single_card_has_the_same_objective(name):
    """Accumulation on one card has the images of four; nothing is counted by micro-batch."""
    config = config_files.load_file(str(ROOT / "configs" / f"{name}.py"))
    row = dict(_variants(name))["one_card"]
    assert row == {"train.accumulation_steps": 4 * config.train.accumulation_steps}
    assert config.train.batch_size * config.train.accumulation_steps == 128
    assert config.train.reference_batch_size == 512
    assert config.rdrop.preset == "per_sample"
    assert not config.data.mixup_alpha + config.data.cutmix_alpha


def test_the_published_recipe():
    """CIFAR-100 with ViT-B/16, and the stages of the distilled DeiT-B."""
    config = config_files.load_file(str(ROOT / "configs" / "cifar100_vit_b_384.py"))
    optim = config.optim
    # Half the official loss: twice its rate of 0.01, half its clipping at 1.
    assert (optim.name, optim.momentum, optim.lr, optim.clip_norm) == ("momentum", 0.9, 0.02, 0.5)
    assert (optim.schedule, optim.warmup_steps, config.train.steps) == ("cosine", 500, 10_000)
    assert (config.model.drop_rate, config.model.head_init, config.data.crop_scale) == (
        0.1,
        "zero",
        (0.05, 1.0),
    )
    stages = config_files.load_table(
        str(ROOT / "configs" / "cifar100_deit_b_distilled_384.py"), "get_stages"
    )
    assert [stage.get("optim.lr") for stage in stages.values()] == [None, None, 1e-3, 3e-4]
    assert next(iter(stages.values()))["data.max_images"] == 1000


def test_the_official_step_is_ours():
    """With twice the loss, half the rate and twice the clipping, SGD goes to the same weights."""
    import numpy as np
    import paddle

    config = config_files.load_file(str(ROOT / "configs" / "cifar100_vit_b_384.py"))

    def trained(factor: float, lr: float, clip: float) -> np.ndarray:
        weights = paddle.to_tensor([1.0, -2.0, 3.0], stop_gradient=False)
        optimizer = paddle.optimizer.Momentum(
            lr, config.optim.momentum, [weights], grad_clip=paddle.nn.ClipGradByGlobalNorm(clip)
        )
        for scale in (0.01, 0.1, 1.0):  # the last two are clipped
            (factor * scale * (weights**2).sum()).backward()
            optimizer.step()
            optimizer.clear_grad()
        return weights.numpy()

    ours, official = (
        trained(*one) for one in ((1.0, config.optim.lr, config.optim.clip_norm), (2.0, 0.01, 1.0))
    )
    np.testing.assert_allclose(ours, official, rtol=1e-6)


def test_sgd_on_tiny_imagenet_is_that_of_summed_gradients():
    """The published code adds the gradients of 4 micro-batches; ours takes their mean."""
    rows = dict(_variants("tiny_imagenet_swin_l_384"))
    gradients, weights, lr, decay = [0.3, -0.1, 0.2, 0.4], 1.7, 1e-2, 1e-5
    published = lr * (sum(gradients) + decay * weights)
    mean = sum(gradients) / 4
    for row in ("sgd", "nesterov"):
        found = rows[row]["optim.lr"] * (mean + rows[row]["optim.weight_decay"] * weights)
        assert found == pytest.approx(published, rel=1e-12)


def test_a_rate_for_another_batch_is_told():
    done = run_program(
        "main.py",
        "--config=configs/digits_rdrop.py",
        "--dry_run",
        "--config.train.reference_batch_size=512",
    )
    assert "warning: optim.lr=" in done.stdout
    assert "by linear scaling" in done.stdout
