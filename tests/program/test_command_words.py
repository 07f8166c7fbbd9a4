"""A word that is neither a flag nor a field: the message names the nearest one that is."""

from __future__ import annotations

import pytest
from in_process import run_here

_CASES = {
    "main.py folder_small": "did you mean --config=configs/folder_small.py?",
    "main.py configs/folder_small.py": "did you mean --config=configs/folder_small.py?",
    "main.py folder-small.py": "did you mean --config=configs/folder_small.py?",
    "main.py dry_run": "did you mean --dry_run?",
    "main.py --dry-run": "did you mean --dry_run?",
    "main.py train": "'train' is not a flag; flags begin with --",
    "main.py --lr=0.1": "--lr is no flag; did you mean --config.optim.lr?",
    "main.py --lr 0.1": "--lr is no flag; did you mean --config.optim.lr?",
    "main.py --batch_size=8": "did you mean --config.train.batch_size or",
    "main.py --learning-rate=8": "did you mean --config.optim.lr?",
    "main.py --config-optim.lr=1": "did you mean --config.optim.lr?",
    "main.py --config.lr=1": "--config.lr: no such field; did you mean 'optim.lr'?",
    "main.py optim.lr=0.1": "did you mean --config.optim.lr=0.1?",
    "main.py --output_dir=x": "did you mean --workdir?",
    "main.py --model=vit_b_16": "did you mean --config.model.name?",
    "main.py --resume": "a run goes on when its command is given again",
    "main.py --config=tiny_imagenet_swin_l_384 rdrop": "did you mean --row=rdrop?",
    "main.py --config=Folder-Small": "did you mean 'folder_small'?",
    "main.py --config.optim.name=AdamW": "did you mean 'adamw'?",
    "main.py --config.data.name=tiny-imagenet-200": "did you mean 'tiny_imagenet'?",
    "main.py --config.model.name=google/vit-base-patch16-224": "did you mean 'vit_b_16'?",
    "val.py README.md": "did you mean --weights=README.md?",
    "val.py": "--weights is missing",
    "val.py --checkpoint=w.pth": "--checkpoint is no flag; did you mean --weights?",
}


@pytest.mark.parametrize("line", _CASES)
def test_the_nearest_is_named(line, tmp_path):
    words = [*line.split(), f"--workdir={tmp_path}"] if line.startswith("main") else line.split()
    done = run_here(*words)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert _CASES[line] in done.stderr
