"""The noise of a step: a function of seed and step, the same however a batch is split."""

from __future__ import annotations

import numpy as np
import pytest

from configs import default
from engine import distributed
from engine.step.noise import is_rdrop_step, noise
from models.layers.dropout_masks import batch_copies, keep_mask


def _draw(seed=0, step=4, micro_batch=0, rank=0, **fields) -> np.ndarray:
    """Masks of a micro-batch, `(copies, images, 512)`."""
    config = default.get_config()
    config.seed = seed
    config.train.update(batch_size=4, accumulation_steps=2)
    config.update_from_flattened_dict(fields)
    distributed.rank = lambda: rank
    copies = config.rdrop.copies if is_rdrop_step(config, step) else 1
    images = config.train.batch_size + (config.rdrop.unlabelled_batch_size if copies > 1 else 0)
    with noise(config, step, micro_batch), batch_copies(range(copies)):
        return keep_mask([copies * images, 512], 0.5).numpy().reshape(copies, images, 512)


@pytest.fixture(autouse=True)
def _ranks(monkeypatch):
    monkeypatch.setattr(distributed, "rank", distributed.rank)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)


def test_it_repeats_and_differs_by_seed_step_and_place():
    first = _draw()
    assert (first == _draw()).all()
    for other in (_draw(seed=1), _draw(step=5), _draw(micro_batch=1), _draw(rank=1)):
        assert 0.45 < (first == other).mean() < 0.55


def test_cards_and_accumulation_share_the_masks_of_the_global_batch():
    split = [_draw(micro_batch=micro, rank=rank) for rank in (0, 1) for micro in (0, 1)]
    whole = _draw(**{"train.batch_size": 16, "train.accumulation_steps": 1})
    assert (np.concatenate(split, axis=1) == whole).all()


def test_images_without_labels_have_places_behind_the_others():
    joined = _draw(**{"rdrop.unlabelled_batch_size": 3})
    assert joined.shape == (2, 7, 512)
    assert (joined[:, :4] == _draw()).all()
    others = [
        _draw(rank=rank, micro_batch=m, **{"rdrop.unlabelled_batch_size": 3})
        for rank in (0, 1)
        for m in (0, 1)
    ]
    rows = np.concatenate(others, axis=1).reshape(-1, 512)
    assert len(np.unique(rows, axis=0)) == len(rows) == 2 * 4 * 7


def test_steps_between_pass_once():
    fields = {"rdrop.every_steps": 3, "rdrop.unlabelled_batch_size": 3}
    assert [_draw(step=step, **fields).shape[:2] for step in range(4)] == [
        (2, 7),
        (1, 4),
        (1, 4),
        (2, 7),
    ]
