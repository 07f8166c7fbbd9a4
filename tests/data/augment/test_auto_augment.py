"""RandAugment, AutoAugment and ThreeAugment: the references' operations, drawn as often."""

from __future__ import annotations

import collections

import golden_augmentation as golden
import numpy as np
import pytest
from conftest import import_timm
from PIL import Image, ImageOps

from configs import default
from data.augment import auto_augment
from data.augment.auto_augment import AutoAugment, RandAugment
from data.augment.auto_augment_operations import OPERATIONS, RANDAUGMENT, operate
from data.augment.auto_augment_policies import CIFAR10, IMAGENET

_GOLDEN = golden.read()


def _same(found: Image.Image, expected, tolerance: int = 0) -> bool:
    return bool((np.abs(np.asarray(found).astype(int) - np.asarray(expected)) <= tolerance).all())


@pytest.mark.parametrize("name", golden.TIMM)
def test_operations_are_those_of_timm(name):
    for level in golden.LEVELS:
        for share in golden.SHARES:
            found = operate(golden.picture(), name, level, golden.EDGES, golden.Fixed(share))
            assert _same(found, _GOLDEN[f"{name} {level} {share}"]), (level, share)


@pytest.mark.parametrize("choice", range(25))
def test_policies_are_those_of_timm_and_torchvision(choice):
    """torchvision's factors are of single precision, so a pixel may be rounded otherwise."""
    image = golden.picture(8, 7)
    for policy, top, name, tolerance in ((IMAGENET, 10, "imagenet", 0), (CIFAR10, 9, "cifar10", 1)):
        for share in golden.POLICY_SHARES:
            found = AutoAugment(policy, top, golden.EDGES)(image, golden.Fixed(share, choice))
            assert _same(found, _GOLDEN[f"{name} {share} {choice}"], tolerance), (name, share)


def test_operations_of_cifar10_worked_out_by_hand():
    """Levels are ninths; the strongest translation is 150 / 331 of the side, in whole pixels."""
    bits = [OPERATIONS["posterize_cifar"].value(level / 9) for level in (0, 6, 7, 9)]
    assert bits == [8, 5, 5, 4]
    assert [OPERATIONS["solarize_cifar"].value(level / 9) for level in (0, 9)] == [255, 0]
    image = golden.picture(20, 20)
    moved = np.asarray(operate(image, "translate_x_cifar", 1.0, golden.EDGES, golden.Fixed(0.0)))
    assert (moved[:, :11] == np.asarray(image)[:, 9:]).all()  # 9.06 pixels
    assert (moved[:, 11:] == golden.EDGES.fillcolor).all()


def test_severity_grows_with_the_magnitude():
    """Also where a smaller value is the stronger one: posterize and solarize."""
    strongest = [OPERATIONS[name].value(1.0) for name in ("rotate", "shear_x", "translate_y")]
    assert strongest == [30, 0.3, 0.45]
    image = golden.picture(32, 32)
    for name in RANDAUGMENT[4:11]:
        changes = [
            np.abs(
                np.asarray(operate(image, name, level, golden.EDGES, golden.Fixed(0.0))).astype(int)
                - image
            ).mean()
            for level in (0.2, 0.5, 1.0)
        ]
        assert changes == sorted(changes), name
        assert changes[0] < changes[2], name


def test_randaugment_draws_evenly(monkeypatch):
    """15 operations are equally frequent, half are done; the noisy magnitude 9 is cut at 10."""
    done, levels = collections.Counter(), []
    monkeypatch.setattr(
        auto_augment,
        "operate",
        lambda image, name, level, *_: done.update([name]) or levels.append(level) or image,
    )
    augment, rng, image = (
        RandAugment(2, 9.0, 0.5, golden.EDGES),
        np.random.default_rng(0),
        golden.picture(),
    )
    for _ in range(6000):
        augment(image, rng)
    assert sum(done.values()) == pytest.approx(6000, rel=0.03)
    assert set(done) == set(RANDAUGMENT)
    assert all(count == pytest.approx(400, rel=0.2) for count in done.values())
    levels = 10 * np.array(levels)
    assert np.median(levels) == pytest.approx(9, abs=0.03)
    assert np.quantile(levels, [0.159, 0.841]) == pytest.approx([8.5, 9.5], abs=0.05)
    assert levels.max() == 10
    assert np.mean(levels == 10) == pytest.approx(0.0228, abs=0.008)  # beyond two deviations


def test_signs_are_as_likely():
    image, rng = golden.picture(), np.random.default_rng(0)
    left = operate(image, "shear_x", 1.0, golden.EDGES, golden.Fixed(0.0))
    found = [_same(operate(image, "shear_x", 1.0, golden.EDGES, rng), left) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.04)


def test_layers_and_magnitude_count():
    image = golden.picture()

    def changed(layers: int, magnitude: float) -> float:
        augment = RandAugment(layers, magnitude, 0.0, golden.EDGES)
        outputs = (
            np.asarray(augment(image, np.random.default_rng(seed))).astype(int)
            for seed in range(200)
        )
        return float(np.mean([np.abs(output - image).mean() for output in outputs]))

    assert changed(1, 9.0) < changed(2, 9.0) < changed(4, 9.0)
    assert changed(2, 3.0) < changed(2, 9.0)


def test_autoaugment_draws_each_pair_with_its_probabilities(monkeypatch):
    done = collections.Counter()
    monkeypatch.setattr(
        auto_augment, "operate", lambda image, name, *_: done.update([name]) or image
    )
    augment, rng, image = (
        AutoAugment(CIFAR10, 9, golden.EDGES),
        np.random.default_rng(0),
        golden.picture(),
    )
    for _ in range(10_000):
        augment(image, rng)
    expected = collections.Counter()
    for pair in CIFAR10:
        for name, probability, _ in pair:
            expected[name] += 400 * probability
    for name, count in expected.items():
        assert done[name] == pytest.approx(count, abs=4 * count**0.5 + 1), name


def test_three_augment_is_one_of_three_each_time():
    image, counts, blurred = golden.picture(), collections.Counter(), []
    rng = np.random.default_rng(0)
    grey = ImageOps.grayscale(image).convert("RGB")
    assert _same(grey, _GOLDEN["greyscale"])
    for _ in range(900):
        found = auto_augment.three_augment(image, rng)
        kind = (
            "grey"
            if _same(found, grey)
            else "solarise"
            if _same(found, _GOLDEN["solarise"])
            else "blur"
        )
        counts[kind] += 1
        blurred += [np.asarray(found).std()] if kind == "blur" else []
    assert all(count == pytest.approx(300, abs=60) for count in counts.values())
    assert len(counts) == 3
    assert min(blurred) < 0.3 * np.asarray(image).std()  # much
    assert max(blurred) > 0.95 * np.asarray(image).std()  # hardly any


def test_off_is_nothing():
    assert auto_augment.build(default.get_config().data, golden.EDGES) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", golden.TIMM)
def test_live_operations(name):
    import_timm()
    image = golden.picture(61, 47)
    for level in np.linspace(0, 1, 21):
        for share in golden.SHARES:
            found = operate(image, name, level, golden.EDGES, golden.Fixed(share))
            assert _same(found, golden.timm_operation(image, name, level, golden.Fixed(share))), (
                level,
                share,
            )


@pytest.mark.slow
def test_live_policies():
    """The same draws, the same pixels, over thousands of images."""
    import_timm()
    image = golden.picture(61, 47)
    for magnitude, layers, std in ((9, 2, 0.5), (5, 3, 0.0), (10, 1, 2.0)):
        for seed in range(500):
            rng, augment = (
                np.random.default_rng(seed),
                RandAugment(layers, magnitude, std, golden.EDGES),
            )
            with golden.drawn_by(np.random.default_rng(seed)) as timm:
                text = f"rand-m{magnitude}-n{layers}-mstd{std}-inc1"
                expected = timm.rand_augment_transform(text, golden.fields(golden.EDGES))(image)
            assert _same(augment(image, rng), expected), (text, seed)
    for seed in range(1000):
        found = AutoAugment(IMAGENET, 10, golden.EDGES)(image, np.random.default_rng(seed))
        assert _same(found, golden.timm_imagenet(image, np.random.default_rng(seed))), seed
    for choice in range(25):
        for share in (0.0, 0.15, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85):
            found = AutoAugment(CIFAR10, 9, golden.EDGES)(image, golden.Fixed(share, choice))
            assert _same(found, golden.torchvision_cifar10(image, share, choice), tolerance=1), (
                choice,
                share,
            )


@pytest.mark.slow
def test_live_three_augment():
    import_timm()
    image = golden.picture(61, 47)
    order = (1, 0, 2)  # timm's: solarise, greyscale, blur

    class Reordered:
        def __init__(self, seed):
            self.rng = np.random.default_rng(seed)
            self.uniform = self.rng.uniform

        def integers(self, count):
            return order[int(self.rng.integers(count))]

        def __getattr__(self, name):
            return getattr(self.rng, name)

    for seed in range(60):
        with golden.drawn_by(Reordered(seed)) as timm:
            expected = timm.auto_augment_transform("3a", golden.fields(golden.EDGES))(image)
        assert _same(auto_augment.three_augment(image, np.random.default_rng(seed)), expected), seed
