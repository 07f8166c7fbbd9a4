"""Every config in the tree is valid; every one starts at its full size."""

from __future__ import annotations

import pytest
from conftest import ROOT, run_program

import data
import models
from engine import settings

_CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py") if path.stem not in ("__init__", "default"))


@pytest.mark.parametrize("name", _CONFIGS)
def test_config_is_valid_and_explained(name):
    path = ROOT / "configs" / f"{name}.py"
    config = settings.load_file(str(path))
    settings.validate(config)
    assert config.model.name in models.MODELS
    assert config.data.name in data.DATASETS
    assert "python" in path.read_text().split('"""')[1], "the docstring gives the command"


@pytest.mark.slow
@pytest.mark.parametrize("name", _CONFIGS)
def test_config_starts_at_full_size(name, painted):
    words = [f"--config=configs/{name}.py", "--dry_run"]
    if name.startswith("folder"):
        words.append(f"--config.data.root={painted}")
    done = run_program("main.py", *words)
    assert done.returncode == 0, done.stderr
    assert "one step on 2 made-up images" in done.stdout


def test_published_batches():
    """A card takes 128 images, four cards 512; a single card with accumulation has the same global batch."""
    config = settings.load_file(str(ROOT / "configs" / "cifar100_vit_b_384.py"))
    assert (config.train.batch_size, config.train.reference_batch_size) == (128, 512)
    done = run_program(
        "main.py", "--config=configs/digits_rdrop.py", "--dry_run", "--config.train.reference_batch_size=512"
    )
    assert "warning: optim.lr=" in done.stdout
    assert "by linear scaling" in done.stdout
