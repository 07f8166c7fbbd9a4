"""The places of a model's noise, their fields in a config, and their rates for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ml_collections import ConfigDict
from paddle import nn

import models
from models.layers import Dropout, DropPath, Rate, noise_layers
from program.config import config_fields

_BUILT = 0.5  # the rate of all noise in a model that `with_all_noise` is of


class Place(NamedTuple):
    """Where noise is: a text for people, the field that sets its rate, and the layers it is in.

    `parts` are places as `models.layers.noise_layers` names them.
    """

    text: str
    field: str
    parts: tuple[str, ...]


PLACES = {
    "dropout": Place("all dropout", "model.drop_rate", ("embedding", "projection", "mlp")),
    "positions": Place("behind the positions", "model.embed_drop_rate", ("embedding",)),
    "projection": Place("behind the projection", "model.proj_drop_rate", ("projection",)),
    "mlp": Place("in the MLP", "model.mlp_drop_rate", ("mlp",)),
    "attention": Place("in the attention weights", "model.attn_drop_rate", ("attention",)),
    "path": Place("stochastic depth", "model.drop_path_rate", ("path",)),
    "head": Place("in front of the classifier", "model.drop_rate", ("head",)),
}


class Profile(NamedTuple):
    """The noise layers of a model: each with its part, and its share of the rate of that part.

    Stochastic depth grows with the depth: its share is 1 in the last block. A layer whose noise is
    switched off has none.
    """

    layers: list[tuple[Dropout | DropPath, str, float]]

    def parts(self) -> set[str]:
        """Returns the parts in which there can be noise."""
        return {part for _, part, share in self.layers if share}

    def places(self) -> dict[str, Place]:
        """Returns the places that the model has; `dropout` only if it is in several of them."""
        found, parts = {}, self.parts()
        for name, place in PLACES.items():
            own = parts & {*place.parts}
            if own and (len(place.parts) == 1 or len(own) > 1):
                found[name] = place
        return found

    @contextlib.contextmanager
    def at(self, rates: Mapping[str, Rate]) -> Iterator[None]:
        """A context in which parts have these rates, and all others none."""
        before = [layer.rate for layer, _, _ in self.layers]
        try:
            for layer, part, share in self.layers:
                layer.rate = scaled(rates.get(part, 0.0), share)
            yield
        finally:
            for (layer, _, _), rate in zip(self.layers, before):
                layer.rate = rate


def scaled(rate: Rate, factor: float) -> Rate:
    """Returns a rate, or one for each copy, times a factor."""
    if isinstance(rate, tuple):
        return tuple(factor * one for one in rate)
    return factor * rate


def profile_of(model: nn.Layer) -> Profile:
    """Returns the profile of a model as it is: layers that are silent now have no share."""
    found = []
    for part, layers in noise_layers(model).items():
        own = [_highest(layer.rate) for layer in layers]
        whole = max(own) or 1.0
        found += [(layer, part, rate / whole) for layer, rate in zip(layers, own)]
    return Profile(found)


def with_all_noise(config: ConfigDict) -> ConfigDict:
    """Returns a config with noise at all places that its model can have.

    The model that is built from it has the profile of the config's model. `rdrop.shared_blocks`
    stays.
    """
    inner = _BUILT if models.abilities(config.model.name).attention_dropout else 0.0
    same = {f"model.{name}_drop_rate": -1.0 for name in ("embed", "proj", "mlp")}
    rates = {"model.drop_rate": _BUILT, "model.attn_drop_rate": inner}
    rates["model.drop_path_rate"] = inner
    return config_fields.changed(config, {**rates, **same, "rdrop.drop_rates": ()})


def rates_of(config: ConfigDict) -> dict[str, Rate]:
    """Returns the rates that a config sets, by part; a tuple is one rate for each copy."""
    model = config.model
    every: Rate = tuple(config.rdrop.drop_rates) or model.drop_rate
    mlp = every if model.mlp_drop_rate < 0 else model.mlp_drop_rate
    return {
        "embedding": every if model.embed_drop_rate < 0 else model.embed_drop_rate,
        "projection": every if model.proj_drop_rate < 0 else model.proj_drop_rate,
        "mlp": mlp,
        "attention": model.attn_drop_rate,
        "path": model.drop_path_rate,
        "head": mlp,
    }


def set_fields(config: ConfigDict, parts: set[str]) -> dict[str, Rate]:
    """Returns the fields of a config that set noise above 0, with their rates.

    Args:
        config: a whole config.
        parts: those in which the model can have noise; fields of others are left out.
    """
    model, found = config.model, {}
    own = {"embed_drop_rate": "embedding", "proj_drop_rate": "projection", "mlp_drop_rate": "mlp"}
    shared = {part for name, part in own.items() if model[name] < 0}
    shared |= {"head"} if "mlp" in shared else set()
    if shared & parts:
        every: Rate = tuple(config.rdrop.drop_rates) or model.drop_rate
        found["rdrop.drop_rates" if isinstance(every, tuple) else "model.drop_rate"] = every
    for name, part in {**own, "attn_drop_rate": "attention", "drop_path_rate": "path"}.items():
        used = part in parts or (part == "mlp" and "head" in parts)
        if used and part not in shared:
            found[f"model.{name}"] = model[name]
    return {name: rate for name, rate in found.items() if _highest(rate) > 0}


def shown(rate: Rate) -> str:
    """Returns a rate, or one for each copy, as a flag has it."""
    return f"({','.join(f'{one:g}' for one in rate)})" if isinstance(rate, tuple) else f"{rate:g}"


def _highest(rate: Rate) -> float:
    return max(rate) if isinstance(rate, tuple) else rate
