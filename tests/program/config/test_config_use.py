"""Fields that change nothing are named with what decides about them, where the user set them."""

from __future__ import annotations

import pytest
from conftest import run_program

from configs import default
from program.config import config_fields, config_files, config_use

_WITHOUT = [
    ("optim.power", 2.0, "optim.schedule=cosine", {"optim.schedule": "polynomial"}),
    ("optim.gamma", 0.5, "optim.schedule=cosine", {"optim.schedule": "multi_step"}),
    ("optim.momentum", 0.95, "optim.name=adamw", {"optim.name": "momentum"}),
    ("optim.lars_coefficient", 0.01, "optim.name=adamw", {"optim.name": "lars"}),
    ("optim.decay", "all", "optim.weight_decay=0", {"optim.weight_decay": 0.1}),
    (
        "data.randaugment_magnitude",
        5.0,
        "data.auto_augment=''",
        {"data.auto_augment": "randaugment"},
    ),
    (
        "data.randaugment_layers",
        1,
        "data.auto_augment=''",
        {"data.auto_augment": "randaugment_torchvision"},
    ),
    ("data.randaugment_std", 0.0, "data.auto_augment=''", {"data.auto_augment": "randaugment"}),
    (
        "data.erase_order",
        "after_mixing",
        "data.erase_probability=0 and data.mixup_alpha=0 and data.cutmix_alpha=0",
        {"data.erase_probability": 0.5, "data.mixup_alpha": 1.0},
    ),
    ("data.erase_mode", "rand", "data.erase_probability=0", {"data.erase_probability": 0.5}),
    ("data.erase_count", 3, "data.erase_probability=0", {"data.erase_probability": 0.5}),
    (
        "data.mix_mode",
        "elem",
        "data.mixup_alpha=0 and data.cutmix_alpha=0",
        {"data.cutmix_alpha": 1.0},
    ),
    (
        "data.mix_probability",
        0.5,
        "data.mixup_alpha=0 and data.cutmix_alpha=0",
        {"data.mixup_alpha": 1.0},
    ),
    (
        "data.mix_switch_probability",
        0.2,
        "data.mixup_alpha=0 and data.cutmix_alpha=0",
        {"data.mixup_alpha": 1.0, "data.cutmix_alpha": 1.0},
    ),
    ("data.crop_padding", 2, "data.crop=random_resized", {"data.crop": "padded"}),
    ("data.root", "images", "data.name=digits", {"data.name": "folder"}),
    ("data.image_column", "path", "data.name=digits", {"data.name": "folder"}),
    (
        "rdrop.unlabelled_alpha",
        2.0,
        "rdrop.unlabelled_batch_size=0",
        {"rdrop.unlabelled_batch_size": 8},
    ),
    ("distill.temperature", 2.0, "distill.kind=hard", {"distill.kind": "soft"}),
    ("average.ema_warmup", False, "average.ema_decay=0", {"average.ema_decay": 0.99}),
    ("train.amp_dtype", "bfloat16", "train.amp=''", {"train.amp": "O1"}),
    (
        "train.loss_scale",
        1024.0,
        "train.amp='' and train.amp_dtype=float16",
        {"train.amp": "O2"},
    ),
    ("model.pretrained_head", "new", "model.pretrained=''", {"model.pretrained": "x"}),
]
_ONE_COPY = [
    ("rdrop.consistency", "js"),
    ("rdrop.temperature", 2.0),
    ("rdrop.stop_gradient", True),
    ("rdrop.preset", "paper"),
    ("rdrop.every_steps", 2),
    ("rdrop.alpha_warmup_steps", 9),
]
_WITHOUT += [(*one, "rdrop.copies=1", {"rdrop.copies": 2}) for one in _ONE_COPY]
# What has a use by default, but not with these.
_OTHERS = [
    ("optim.beta1", 0.8, {"optim.name": "sgd"}, "optim.name=sgd"),
    ("optim.beta2", 0.8, {"optim.name": "lars"}, "optim.name=lars"),
    ("data.crop_scale", (0.5, 1.0), {"data.crop": "simple"}, "data.crop=simple"),
    ("data.crop_ratio", (1.0, 1.0), {"data.crop": "none"}, "data.crop=none"),
]


def _config(**fields):
    values = {"distill.kind": "hard", "rdrop.copies": 1, **fields}
    return config_fields.changed(default.get_config(), values)


@pytest.mark.parametrize(("field", "value", "why", "remedy"), _WITHOUT)
def test_each_field(field, value, why, remedy):
    found = config_use.without_use(_config(**{field: value}))
    assert found.keys() == {field}
    assert f" has no use with {why}: leave it out, or change " in found[field]
    assert found[field].startswith(f"{field}=")
    assert config_use.without_use(_config(**{field: value, **remedy})) == {}
    assert config_use.without_use(_config(**remedy)) == {}


@pytest.mark.parametrize(("field", "value", "others", "why"), _OTHERS)
def test_what_another_choice_leaves_without_use(field, value, others, why):
    assert config_use.without_use(_config(**{field: value})) == {}
    assert why in config_use.without_use(_config(**{field: value, **others}))[field]


def test_what_is_left_to_a_recipe():
    folder = config_files.load_file("configs/folder.py")
    assert config_use.without_use(folder) == {}
    values = {"optim.decay": "all", "model.pretrained_head": "new", "data.crop": "simple"}
    assert config_use.without_use(config_fields.changed(folder, values)) == {}


def test_the_projects_configs():
    """Nothing of a row or a stage is without use there, and no field in all of them."""
    for path in map(str, config_files.experiments()):
        config = config_files.load_file(path)
        tables = [config_files.load_table(path, name) for name in ("get_rows", "get_stages")]
        variants = {name: fields for table in tables for name, fields in table.items()}
        found = [set(config_use.without_use(config))]
        for name, fields in variants.items():
            found.append(set(config_use.without_use(config_fields.changed(config, fields))))
            assert not found[-1] & set(fields), (path, name)
        assert not set.intersection(*found), path


_CONFIG = """
from configs import default
def get_config():
    c = default.get_config()
    c.train.steps = 1
    c.model.update(name="vit_n_8", image_size=8, drop_rate=0.1)
    {more}
    return c
def get_rows():
    return {{"long": {{"data.crop": "padded"}}, "wrong": {{"optim.power": 2.0}}}}
"""


def _slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("more", "words", "refused"),
    [
        ("", ["--config.optim.power=2"], "config.optim.power=2 has no use"),
        ("c.optim.power = 2.0", [], "config.optim.power=2 has no use"),
        ("", ["--row=wrong"], "config.optim.power=2 has no use"),
        # What is switched off there, or is of use in a row, is no mistake.
        _slow("c.optim.update(name='sgd', momentum=0.9)", ["--config.optim.name=adamw"], ""),
        _slow("c.optim.update(name='lars', momentum=0.8)", ["--config.optim.name=adamw"], ""),
        ("c.data.crop_padding = 2", [], ""),
        ("c.data.crop_padding = 2", ["--config.data.crop_padding=3"], "crop_padding=3 has no use"),
    ],
)
def test_only_what_the_user_sets(tmp_path, more, words, refused):
    path = tmp_path / "c.py"
    path.write_text(_CONFIG.format(more=more), encoding="utf-8")
    done = run_program("main.py", f"--config={path}", *words, "--dry_run")
    assert done.returncode == (2 if refused else 0), done.stderr
    assert refused in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_has_begun_goes_on(tmp_path):
    """Earlier versions took such fields."""
    path, folder = tmp_path / "c.py", tmp_path / "run"
    path.write_text(_CONFIG.format(more=""), encoding="utf-8")
    command = ["main.py", f"--config={path}", f"--workdir={folder}"]
    done = run_program(*command, "--config.optim.schedule=polynomial", "--config.optim.power=2")
    assert done.returncode == 0, done.stderr
    done = run_program(*command, "--config.optim.power=2")
    assert "has no use" not in done.stderr
    assert "has no use" in run_program(*command, "--config.optim.power=2", "--overwrite").stderr
