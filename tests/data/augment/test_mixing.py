"""Mixup and CutMix mix pixels and labels by the same share, as often as the config says."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from conftest import import_timm

from data import Mixing
from data.augment.mixing import MODES, Mix
from losses import smooth


def _mixed(mixup: float, cutmix: float, seed: int, *options) -> tuple[np.ndarray, np.ndarray]:
    """Image i is filled with i, of class i."""
    images = paddle.arange(4, dtype="float32").reshape([4, 1, 1, 1]).expand([4, 3, 10, 10])
    mixed, targets = Mixing(mixup, cutmix, *options)(
        images, paddle.arange(4), 4, np.random.default_rng(seed)
    )
    return mixed.numpy(), targets.numpy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_targets_say_what_the_pixels_are(mixup, cutmix, mode):
    for seed in range(20):
        images, targets = _mixed(mixup, cutmix, seed, mode, 0.8)
        shares = np.diag(targets)
        np.testing.assert_allclose(
            targets, np.diag(shares) + np.diag(1 - shares)[:, ::-1], atol=1e-6
        )
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), targets @ np.arange(4), atol=1e-5)


def test_what_has_a_mix_of_its_own():
    """One share for a micro-batch, one for each image, or one for each pair."""
    for mode, count in (("batch", 1), ("elem", 4), ("pair", 2)):
        for seed in range(5):
            shares = np.diag(_mixed(0.8, 0.0, seed, mode)[1])
            assert len(np.unique(shares.round(5))) == count, mode
            assert mode != "pair" or (shares == shares[::-1]).all()


def test_pairs_exchange_the_same_box():
    images, targets = _mixed(0.0, 1.0, 3, "pair")
    for first, last in ((0, 3), (1, 2)):
        assert ((images[first] == last) == (images[last] == first)).all()
    assert targets[0, 3] != targets[1, 2]


def test_an_odd_batch_leaves_its_middle_as_it_is():
    images = paddle.to_tensor(np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype("float32"))
    for mode in MODES:
        mixed, targets = Mixing(0.8, 1.0, mode)(
            images, paddle.arange(5), 5, np.random.default_rng(0)
        )
        np.testing.assert_allclose(mixed[2].numpy(), images[2].numpy(), atol=1e-6)
        assert targets[2, 2].item() == pytest.approx(1)


def test_cutmix_pastes_one_box_and_mixup_none():
    images, targets = _mixed(0.0, 1.0, 1)
    pasted = images[0, 0] == 3
    rows, columns = pasted.any(axis=1), pasted.any(axis=0)
    assert 0 < pasted.sum() == rows.sum() * columns.sum() == round(100 * (1 - targets[0, 0]))
    assert set(np.unique(images[0])) == {0, 3}
    assert len(np.unique(_mixed(0.8, 0.0, 1)[0][0])) == 1


def test_shares_are_drawn_from_beta():
    shares = [_mixed(0.4, 0.0, seed)[1][0, 0] for seed in range(600)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert np.var(shares) == pytest.approx(1 / (4 * 1.8), rel=0.15)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("probability", "switch"), [(1.0, 0.5), (0.6, 0.25), (0.3, 0.9), (1.0, 0.0), (1.0, 1.0)]
)
def test_probabilities(mode, probability, switch):
    mixing, rng = Mixing(1.0, 1.0, mode, probability, switch), np.random.default_rng(0)
    mixes = [
        mix for _ in range(2000 if mode == "batch" else 200) for mix in mixing.draw(20, 10, rng)
    ]
    done = [mix for mix in mixes if mix != Mix(1.0, None)]
    assert len(done) / len(mixes) == pytest.approx(probability, abs=0.04)
    assert np.mean([mix.box is not None for mix in done]) == pytest.approx(switch, abs=0.04)


def test_switching_has_no_say_where_one_is_alone():
    for mixup, cutmix in ((1.0, 0.0), (0.0, 1.0)):
        for switch in (0.0, 1.0):
            mixes = Mixing(mixup, cutmix, "elem", 1.0, switch).draw(
                50, 10, np.random.default_rng(0)
            )
            assert all((mix.box is not None) == bool(cutmix) for mix in mixes)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_the_defaults_draw_and_compute_what_they_always_did(mixup, cutmix):
    """Bit for bit: a choice of two if both are on, a share, and the centre of a box.

    Then come the published formulas.
    """
    images = paddle.to_tensor(
        np.random.default_rng(9).normal(size=(6, 3, 16, 16)).astype("float32")
    )
    labels = paddle.to_tensor([4, 0, 3, 3, 1, 2])
    for seed in range(30):
        found, targets = Mixing(mixup, cutmix)(images, labels, 5, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        alphas = [alpha for alpha in (mixup, cutmix) if alpha]
        alpha = alphas[int(rng.integers(len(alphas)))]
        share = float(rng.beta(alpha, alpha))
        if alpha == mixup:
            expected = share * images + (1 - share) * images.flip(0)
        else:
            half, expected, covered = (
                int(16 * (1 - share) ** 0.5) // 2,
                images.numpy().copy(),
                np.zeros((16, 16)),
            )
            rows, columns = (
                slice(max(0, centre - half), centre + half) for centre in rng.integers(0, 16, 2)
            )
            expected[:, :, rows, columns] = images.numpy()[::-1, :, rows, columns]
            covered[rows, columns] = 1
            share = 1 - float(covered.mean())
        one_hot = paddle.nn.functional.one_hot(labels, 5)
        assert (found.numpy() == np.asarray(expected)).all()
        assert (targets.numpy() == (share * one_hot + (1 - share) * one_hot.flip(0)).numpy()).all()


def test_smoothing_comes_before_the_mix_as_in_timm():
    """By hand for 4 classes and a smoothing of 0.2: 0.85 for the label, 0.05 for each other."""
    images, labels = paddle.zeros([2, 3, 4, 4]), paddle.to_tensor([1, 3])
    mixed = Mixing(0.8, 0.0)(images, smooth(labels, 4, 0.2), 4, np.random.default_rng(0))[1].numpy()
    share = float(np.random.default_rng(0).beta(0.8, 0.8))
    first = [0.05, 0.85 * share + 0.05 * (1 - share), 0.05, 0.05 * share + 0.85 * (1 - share)]
    np.testing.assert_allclose(mixed[0], first, atol=1e-6)
    np.testing.assert_allclose(mixed[1], [first[0], first[3], first[2], first[1]], atol=1e-6)
    plain = Mixing(0.8, 0.0)(images, smooth(labels, 4, 0.0), 4, np.random.default_rng(0))[1].numpy()
    np.testing.assert_allclose(plain[0], [0, share, 0, 1 - share], atol=1e-6)


def test_off_is_off():
    assert not Mixing(0.0, 0.0).active
    assert not Mixing(0.8, 1.0, "batch", 0.0).active


def _bounds(places: slice) -> tuple[int, int]:
    return places.start, places.stop


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_live_against_timm(mode, smoothing, monkeypatch):
    """Given the same shares and boxes, timm's images and targets."""
    import_timm()
    import torch
    from timm.data import mixup

    rng = np.random.default_rng(5)
    images, labels = rng.normal(size=(8, 3, 12, 12)).astype("float32"), rng.integers(0, 6, 8)
    for seed in range(40):
        ours = Mixing(0.8, 1.0, mode, 0.8, 0.5)
        mixes = ours.draw(8, 12, np.random.default_rng(seed))
        drawn = mixes[: {"batch": 1, "elem": 8, "pair": 4}[mode]]
        boxes = iter(
            [
                (mix.box[0].start, mix.box[0].stop, mix.box[1].start, mix.box[1].stop)
                for mix in drawn
                if mix.box
            ]
        )
        monkeypatch.setattr(mixup, "rand_bbox", lambda *_, boxes=boxes, **__: next(boxes))
        theirs = mixup.Mixup(0.8, 1.0, mode=mode, label_smoothing=smoothing, num_classes=6)
        # Their share of a box that covers nothing may not be 1, or they would not ask for it.
        shares = np.array([0.5 if mix.box else mix.share for mix in drawn], np.float32)
        uses = np.array([mix.box is not None for mix in drawn])
        theirs._params_per_elem = lambda _, shares=shares, uses=uses: (shares.copy(), uses)
        theirs._params_per_batch = lambda shares=shares, uses=uses: (
            float(shares[0]),
            bool(uses[0]),
        )
        expected, soft = theirs(torch.tensor(images), torch.tensor(labels))
        targets = smooth(paddle.to_tensor(labels), 6, smoothing)
        found, mixed = ours(paddle.to_tensor(images), targets, 6, np.random.default_rng(seed))
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-6)
        np.testing.assert_allclose(mixed.numpy(), soft.numpy(), atol=2e-6)
