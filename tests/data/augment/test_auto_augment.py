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
from data.augment.auto_augment import AutoAugment, RandAugment, TorchvisionRandAugment
from data.augment.auto_augment_operations import (
    OPERATIONS,
    RANDAUGMENT,
    RANDAUGMENT_TORCHVISION,
    Edges,
    operate,
)
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


def test_randaugment_of_torchvision_always_applies_14_operations_evenly(monkeypatch):
    done, levels = collections.Counter(), set()
    monkeypatch.setattr(
        auto_augment,
        "operate",
        lambda image, name, level, *_: done.update([name]) or levels.add(level) or image,
    )
    augment, rng = TorchvisionRandAugment(2, 9.0), np.random.default_rng(0)
    for _ in range(7000):
        augment(golden.picture(), rng)
    assert sum(done.values()) == 14_000
    assert set(done) == set(RANDAUGMENT_TORCHVISION)
    assert len(done) == 14
    assert all(count == pytest.approx(1000, rel=0.15) for count in done.values())
    assert levels == {0.3}  # 9 of 30


def test_strengths_of_randaugment_of_torchvision_worked_out_by_hand():
    """31 magnitudes; the ninth turns by 9 degrees, keeps 7 bits and blends by 1.27 or 0.73."""
    values = {name: OPERATIONS[name].value(9 / 30) for name in RANDAUGMENT_TORCHVISION}
    assert values["rotate"] == pytest.approx(9)
    assert values["shear_x"] == pytest.approx(0.09)
    assert values["translate_x_cifar"] == pytest.approx(0.3 * 150 / 331)
    assert values["posterize_cifar"] == 7
    assert values["solarize_cifar"] == pytest.approx(178.5)
    assert values["brightness"] == pytest.approx(0.27)


def test_magnitude_0_of_torchvision_is_autocontrast_and_equalize():
    image = golden.picture(20, 20)
    for name in RANDAUGMENT_TORCHVISION:
        found = operate(image, name, 0.0, golden.EDGES, golden.Fixed(0.0))
        moved = name in ("auto_contrast", "equalize")
        if name != "solarize_cifar":  # from 255 on: the picture has none
            assert _same(found, image) != moved, name
    kinds = [
        _same(TorchvisionRandAugment(2, 0.0)(image, np.random.default_rng(seed)), image)
        for seed in range(2000)
    ]
    assert np.mean(kinds) == pytest.approx((12 / 14) ** 2, abs=0.03)


def test_randaugment_of_torchvision_fills_with_black():
    """Whatever the config's edges are, as torchvision's defaults."""
    config = default.get_config().data
    config.update(auto_augment="randaugment_torchvision", randaugment_magnitude=30.0)
    augment = auto_augment.build(config, golden.EDGES)
    white = Image.new("RGB", (20, 20), (255, 255, 255))
    corners = {
        np.asarray(augment(white, np.random.default_rng(seed)))[0, 0].tobytes()
        for seed in range(200)
    }
    assert bytes([0, 0, 0]) in corners
    assert bytes(golden.EDGES.fillcolor) not in corners


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


class _Draws:
    """`torch.randint` for torchvision's RandAugment, by the draws of a generator in ours.

    torchvision's translation by a positive value is ours by a negative one.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng, self.name = rng, ""

    def __call__(self, count: int, size: tuple[int, ...]):
        import torch

        if count == 2:
            negative = self.rng.random() > 0.5
            return torch.tensor([int(negative != self.name.startswith("translate"))])
        choice = int(self.rng.integers(count))
        self.name = RANDAUGMENT_TORCHVISION[choice]
        return torch.tensor([choice])


@pytest.mark.slow
@pytest.mark.parametrize("magnitude", [0, 1, 9, 17, 30])
def test_live_randaugment_of_torchvision(magnitude, monkeypatch):
    """The same draws, the same pixels; its magnitudes are of single precision."""
    import_timm()
    torch = pytest.importorskip("torch")
    from torchvision import transforms

    image = golden.picture(61, 47)
    for seed in range(400):
        draws = _Draws(np.random.default_rng(seed))
        with monkeypatch.context() as patch:
            patch.setattr(torch, "randint", draws)
            expected = transforms.RandAugment(2, magnitude)(image)
        found = TorchvisionRandAugment(2, float(magnitude))(image, np.random.default_rng(seed))
        assert _same(found, expected, tolerance=1), (magnitude, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", RANDAUGMENT_TORCHVISION)
def test_live_randaugment_of_torchvision_on_tensors(name, monkeypatch):
    """The published run of Tiny ImageNet changed tensors: other rounding and other ties."""
    import_timm()
    torch = pytest.importorskip("torch")
    from torchvision import transforms

    y, x, channel = np.mgrid[:96, :96, :3]
    smooth = 127 + 120 * np.sin(x / 17 + channel) * np.cos(y / 23)
    image = Image.fromarray(smooth.astype(np.uint8))
    tensor = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    choice = RANDAUGMENT_TORCHVISION.index(name)
    for sign in (0, 1):
        share = 0.75 if sign != name.startswith("translate") else 0.0
        draws = {2: torch.tensor([sign]), 14: torch.tensor([choice])}
        with monkeypatch.context() as patch:
            patch.setattr(torch, "randint", lambda count, size, draws=draws: draws[count])
            expected = transforms.RandAugment(1, 9)(tensor).permute(1, 2, 0).numpy()
        edges = Edges((0, 0, 0), Image.Resampling.NEAREST)
        found = np.asarray(operate(image, name, 0.3, edges, golden.Fixed(share)))
        difference = np.abs(found.astype(int) - expected).mean()
        assert difference < 0.3, (name, sign, difference)


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
