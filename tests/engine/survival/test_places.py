"""Where the noise of each family is, and at which rates."""

from __future__ import annotations

import numpy as np
import pytest

import models
from configs import default
from engine.model_setup import build_model
from engine.survival import passes
from engine.survival.bench import Bench
from engine.survival.places import profile_of, rates_of, scaled, set_fields, with_all_noise

_VIT = ["dropout", "positions", "projection", "mlp", "attention", "path"]


def _config(name="vit_n_8", size=16, **fields):
    config = default.get_config()
    config.model.update(name=name, image_size=size, num_classes=3)
    config.model.update(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    config.update_from_flattened_dict(
        {key.replace("__", "."): value for key, value in fields.items()}
    )
    return config


@pytest.mark.parametrize(
    ("name", "size", "places"),
    [
        ("vit_n_8", 16, _VIT),
        ("vit_n_8_distilled", 16, _VIT),
        ("cait_xxs_24", 32, _VIT),
        ("swin_ti", 224, _VIT),
        ("t2t_vit_7", 224, _VIT),
        ("resnet_18", 32, ["head"]),
        ("levit_128s", 224, ["head"]),
    ],
)
def test_the_places_of_each_family(name, size, places):
    """Each place changes the features, and the noise in it can be switched off."""
    config = _config(name, size)
    model = build_model(with_all_noise(config))
    for key, parameter in model.named_parameters():
        if "gamma" in key:  # CaiT's LayerScale, which begins near 0
            parameter.set_value(np.ones(parameter.shape, np.float32))
    profile = profile_of(model)
    assert list(profile.places()) == places
    images = np.random.default_rng(0).integers(0, 256, (3, 3, size, size)).astype(np.uint8)
    bench = Bench(model, profile, images, config)
    assert bench.at({}).survival == pytest.approx(1)
    for place in profile.places().values():
        assert bench.at(dict.fromkeys(place.parts, 0.9)).survival < 0.9999


@pytest.mark.parametrize(
    "fields",
    [
        {"model__drop_rate": 0.1},
        {"model__drop_rate": 0.1, "model__mlp_drop_rate": 0.0, "model__attn_drop_rate": 0.2},
        {"model__drop_path_rate": 0.3},
        {"model__drop_rate": 0.1, "rdrop__drop_rates": (0.1, 0.3), "model__proj_drop_rate": 0.2},
        {"model__drop_rate": 0.1, "model__drop_path_rate": 0.2, "rdrop__shared_blocks": 2},
        {"model__name": "cait_xxs_24", "model__image_size": 32, "model__drop_path_rate": 0.2},
        {"model__name": "resnet_18", "model__drop_rate": 0.2},
    ],
)
def test_the_rates_of_a_config_are_those_of_its_model(fields):
    config = _config(**fields)
    built = models.build(config.model, config.rdrop.drop_rates, config.rdrop.shared_blocks)
    names = {id(layer): name for name, layer in built.named_sublayers()}
    own = {names[id(layer)]: layer.rate for layer, _, _ in profile_of(built).layers}
    wide = build_model(with_all_noise(config))
    names = {id(layer): name for name, layer in wide.named_sublayers()}
    profile, rates = profile_of(wide), rates_of(config)
    with profile.at(rates):
        found = {names[id(layer)]: layer.rate for layer, _, _ in profile.layers}
    assert found.keys() == own.keys()
    for name, rate in found.items():
        rates = rate if isinstance(rate, tuple) else (rate,)
        expected = own[name] if isinstance(own[name], tuple) else (own[name],)
        # Blocks that share their noise have none: a tuple of zeros is the same as 0.
        if not any(rates) and not any(expected):
            continue
        assert rates == pytest.approx(expected), name


def test_stochastic_depth_grows_and_shared_blocks_are_silent():
    profile = profile_of(build_model(with_all_noise(_config(rdrop__shared_blocks=3))))
    shares = [share for _, part, share in profile.layers if part == "path"]
    depth = len(shares)
    whole = [place / (depth - 1) for place in range(depth)]
    assert shares == pytest.approx([0, 0, 0, *whole[3:]])
    assert list(profile.places()) == ["dropout", "projection", "mlp", "attention", "path"]


def test_the_fields_of_a_config():
    parts = profile_of(build_model(with_all_noise(_config()))).parts()

    def fields(used=parts, **changes):
        return set_fields(_config(**changes), used)

    assert fields() == {}
    assert fields(model__drop_rate=0.1) == {"model.drop_rate": 0.1}
    each = {
        "model__embed_drop_rate": 0.0,
        "model__proj_drop_rate": 0.2,
        "model__mlp_drop_rate": 0.3,
    }
    assert fields(model__drop_rate=0.1, **each) == {
        "model.proj_drop_rate": 0.2,
        "model.mlp_drop_rate": 0.3,
    }
    assert fields(rdrop__drop_rates=(0.1, 0.3), model__attn_drop_rate=0.2) == {
        "rdrop.drop_rates": (0.1, 0.3),
        "model.attn_drop_rate": 0.2,
    }
    assert fields({"head"}, model__drop_rate=0.1) == {"model.drop_rate": 0.1}
    assert fields({"head"}, model__mlp_drop_rate=0.1) == {"model.mlp_drop_rate": 0.1}
    assert fields({"path"}, model__drop_rate=0.1) == {}


def test_a_factor_of_rates():
    assert scaled(0.2, 0.5) == pytest.approx(0.1)
    assert scaled((0.2, 0.4), 0.5) == pytest.approx((0.1, 0.2))


def test_dropout_before_and_behind_layer_scale_is_the_same():
    """An element that is dropped and then scaled is one that is scaled and then dropped."""
    config = _config()
    with_factors = models.create("vit_n_8", num_classes=3, image_size=16, layer_scale=0.3)
    for number, block in enumerate(with_factors.blocks):
        for scale in (block.ls1, block.ls2):
            gamma = np.random.default_rng(number).uniform(0.01, 4, scale.gamma.shape)
            scale.gamma.set_value(gamma.astype(np.float32))
    folded = models.create("vit_n_8", num_classes=3, image_size=16)
    state = with_factors.state_dict()
    for name, value in folded.state_dict().items():
        array = state[name].numpy()
        block = name.rpartition("attn.proj.")[0] or name.rpartition("mlp.fc2.")[0]
        if block:
            gamma = state[f"{block}{'ls1' if 'attn' in name else 'ls2'}.gamma"].numpy()
            array = array * gamma  # of the outputs: columns of the weight
        value.set_value(array)
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 16, 16)).astype(np.uint8)
    found = []
    for model in (with_factors, folded):
        layers = profile_of(models.create("vit_n_8", drop_rate=0.5, image_size=16))
        profile = profile_of(model)._replace(
            layers=[
                (own, part, share)
                for (own, part, _), (_, _, share) in zip(profile_of(model).layers, layers.layers)
            ]
        )
        with profile.at({"projection": 0.2, "mlp": 0.2}):
            found.append(passes.run(model, images, config, seed=1).features)
    largest = np.abs(found[0]).max()
    assert np.abs(found[0] - found[1]).max() < 1e-4 * largest
