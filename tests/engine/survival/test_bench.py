"""What survives: by hand, in closed form, and without a trace in the model."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from survival_models import config_of, dropping, dropping_images, signs

import models
from common.errors import UserError
from engine.survival import passes
from engine.survival.bench import Bench, Keeping, divergence, rate_keeping, survival
from engine.survival.places import profile_of
from models.layers import noise_layers


def _bench(model, images, size, repeats=1, seed=0):
    config = config_of(size)
    config.seed = seed
    return Bench(model, profile_of(model), images, config, repeats)


def test_survival_by_hand():
    clean = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert survival(clean, 3 * clean + 7) == pytest.approx(1)  # neither scale nor shift matters
    assert survival(clean, -clean) == pytest.approx(-1)
    # Off their mean the noisy ones are (2, 1), (-2, -1): the cosine is 2 / sqrt(5).
    assert survival(clean, np.array([[5.0, 3.0], [1.0, 1.0]])) == pytest.approx(2 / math.sqrt(5))
    assert survival(clean, np.ones((2, 2))) == 0  # no direction is left
    # The first head keeps all, the second loses all.
    both = np.stack([clean, clean])
    assert survival(both, np.stack([clean, np.ones((2, 2))])) == pytest.approx(0.5)


def test_without_noise_all_survives():
    bench = _bench(dropping(0.5, 4), signs(8, 4), 4, repeats=2)
    point = bench.at({})
    assert point.survival == pytest.approx(1)
    assert point.kl == 0


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7])
def test_dropout_of_signs_in_closed_form(rate):
    """Dropped signs have the variance p / (1 - p) next to 1, less what their mean takes off."""
    images, size = 64, 32  # 3,072 elements
    expected = 1 / math.sqrt(1 + (1 - 1 / images) * rate / (1 - rate))
    found = _bench(dropping(rate, size), signs(images, size), size).at({"embedding": rate})
    # The deviation of a cosine is below this, that of the mean of 64 an eighth of it.
    deviation = math.sqrt(rate / (1 - rate) / 3072)
    assert found.survival == pytest.approx(expected, abs=4 * deviation / 8)


def test_dropped_images_in_closed_form():
    images, size, rate = 400, 8, 0.25
    found = _bench(dropping_images(0.5, size), signs(images, size), size).at({"path": rate})
    # A share of 1 - p of the images keeps its direction, the others have none.
    assert found.survival == pytest.approx(1 - rate, abs=4 * math.sqrt(rate * (1 - rate) / images))


def test_a_rate_for_each_copy():
    bench = _bench(dropping(0.5, 32), signs(64, 32), 32)
    found = bench.at({"embedding": (0.0, 0.5)})
    assert found.passes[0] == pytest.approx(1)
    assert found.passes[1] == pytest.approx(1 / math.sqrt(1 + 63 / 64), abs=0.01)
    assert found.survival == pytest.approx(np.mean(found.passes))
    assert found.kl > 0


def test_seeds():
    model, images = dropping(0.5, 8), signs(40, 8)  # two chunks
    one, same, other = (
        _bench(model, images, 8, repeats=2, seed=seed).at({"embedding": 0.3}) for seed in (1, 1, 5)
    )
    assert one == same
    assert one.survival != other.survival
    assert one.passes[0] != one.passes[1]


def test_chunks_have_noise_of_their_own():
    model, images = dropping(0.5, 8), np.repeat(signs(2, 8)[:1], 64, axis=0)
    features = passes.run(model, images, config_of(8), seed=0).features[0]
    assert not (features[:32] == features[32:]).all()


def test_divergence_is_that_of_rdrop():
    logits = [np.log([[0.5, 0.5]]), np.log([[0.8, 0.2]])]
    there = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)
    back = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    assert divergence(logits) == pytest.approx((there + back) / 2)


def test_a_model_stays_as_it_is():
    """Random numbers, modes, rates, batch norms and weights."""
    paddle.seed(3)
    model = models.create("resnet_18", num_classes=3, image_size=32, drop_rate=0.2)
    model.train()
    model.sublayers()[5].eval()
    modes = [layer.training for layer in model.sublayers(include_self=True)]
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    before = paddle.get_rng_state()
    bench = _bench(model, signs(6, 32), 32)
    assert bench.at({"head": 0.5}).survival < 0.95
    paddle.set_rng_state(paddle.get_rng_state())
    after = paddle.randn([4]).numpy()
    paddle.set_rng_state(before)
    assert (after == paddle.randn([4]).numpy()).all()
    assert modes == [layer.training for layer in model.sublayers(include_self=True)]
    assert all((value.numpy() == state[name]).all() for name, value in model.state_dict().items())
    assert [layer.rate for layer in noise_layers(model)["head"]] == [0.2]


def test_what_can_not_be_measured():
    with pytest.raises(UserError, match="2 or more readable images, there are 1"):
        _bench(dropping(0.5, 4), signs(2, 4)[:1], 4)
    with pytest.raises(UserError, match="features of all images are the same"):
        _bench(dropping(0.5, 4), np.zeros((4, 3, 4, 4), np.uint8), 4)
    config = config_of(4)
    config.model.std = (1e-45,) * 3
    model = dropping(0.5, 4)
    with pytest.raises(UserError, match="not finite"):
        Bench(model, profile_of(model), signs(4, 4), config)


def test_the_rate_that_keeps_a_share():
    # From 1 at rate 0; a straight line between the points.
    assert rate_keeping([(0.1, 0.8)]) == Keeping(pytest.approx(0.05), "below")
    assert rate_keeping([(0.1, 0.95), (0.2, 0.85)]) == Keeping(pytest.approx(0.15))
    assert rate_keeping([(0.2, 0.85), (0.1, 0.95)]) == Keeping(pytest.approx(0.15))  # any order
    assert rate_keeping([(0.1, 0.99), (0.2, 0.92)]) == Keeping(0.2, "above")
    # A value that rises again by chance does not count: 0.92, 0.92, 0.85; and 0.95, 0.88, 0.88.
    found = rate_keeping([(0.1, 0.92), (0.2, 0.95), (0.3, 0.85)])
    assert found == Keeping(pytest.approx(0.2 + 0.1 * 2 / 7))
    found = rate_keeping([(0.1, 0.95), (0.2, 0.88), (0.3, 0.93)])
    assert found == Keeping(pytest.approx(0.1 + 0.1 * 5 / 7))
    assert rate_keeping([]) is None
    assert rate_keeping([(0.1, 0.5)], kept=0.5) == Keeping(0.1, "above")  # just enough
