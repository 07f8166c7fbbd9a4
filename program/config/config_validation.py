"""Checks each value of a config by `configs/allowed_values.py`, then all together.

Types are checked by `program/config/config_fields.py`, fields that depend on each other by
`program/config/config_rules.py`.
"""

import math

from ml_collections import ConfigDict

from common.errors import UserError, nearest
from configs import default
from configs.allowed_values import LARGEST_COUNT, MOST_VALUES, Trait, trait
from program.config import config_rules
from program.config.config_fields import KINDS, changed, fits, flattened, to_choose


def validate(config: ConfigDict) -> None:
    """Checks the values of a config.

    Raises:
        UserError: naming the first field that is out of its range, or does not go with another.
    """
    given, left = flattened(config), to_choose(config)
    for name, expected in flattened(default.get_config()).items():
        value = given.get(name)
        if not fits(value, expected):
            raise UserError(
                f"config.{name} is {value!r}, expected {KINDS.get(type(expected), 'text')}"
            )
        known = trait(name)
        if name in left:
            _refuse_without_recipe(name, value, config)
            continue
        if isinstance(value, tuple) and len(value) > MOST_VALUES:
            raise UserError(
                f"config.{name} has {len(value)} values, expected at most {MOST_VALUES}"
            )
        if known.choices and value not in known.choices:
            choices = ", ".join(choice or "''" for choice in known.choices)
            hint = nearest(str(value), known.choices, listed=False)
            raise UserError(f"config.{name} is {value!r}, expected one of {choices}{hint}")
        if isinstance(value, (int, float)):
            _check_bounds(name, value, known)
    if config.seed >= 2**63:
        raise UserError(f"config.seed is {config.seed}, expected below 2^63")
    config_rules.check(_with_stand_ins(config, left))


def _refuse_without_recipe(name: str, value: object, config: ConfigDict) -> None:
    if not config.train.recipe:
        raise UserError(
            f"config.{name} is {value}, which leaves it to a recipe: set a value, or "
            "train.recipe=fine_tune"
        )


def _with_stand_ins(config: ConfigDict, left: list[str]) -> ConfigDict:
    """Returns the config with values that break no rule in the fields that are left to a recipe.

    What a recipe chooses is checked when it is known.
    """
    usual = flattened(default.get_config())
    stand_ins = {name: usual[name] for name in left}
    if "optim.lr" in left:  # the final rate must not be above it
        stand_ins["optim.lr"] = max(usual["optim.lr"], config.optim.final_lr)
    return changed(config, stand_ins)


def _check_bounds(name: str, value: float, known: Trait) -> None:
    limit = known.limit
    if limit is None:
        limit = LARGEST_COUNT if isinstance(value, int) else math.inf
    if limit < abs(value) < math.inf:
        raise UserError(f"config.{name} is out of range, expected at most {limit:,}")
    for wrong, expected in (
        (known.least > -math.inf and not 0 <= value < math.inf, "0 or more"),
        (value < known.least, f"{known.least} or more"),
        (value > known.most, f"0 to {known.most}"),
        (known.below <= value < math.inf, f"0 to below {known.below}"),
    ):
        if wrong:
            raise UserError(f"config.{name} is {value}, expected {expected}")


def validate_length(config: ConfigDict) -> None:
    """Checks that the length of the run is set, and only once.

    Raises:
        UserError: when both steps and epochs are 0, or both are set.
    """
    steps, epochs = config.train.steps, config.train.epochs
    if "train.epochs" in to_choose(config):  # with steps, it will be 0
        return
    if not steps and not epochs:
        raise UserError("config.train.steps and config.train.epochs are both 0; set one of them")
    if steps and epochs:
        raise UserError(
            f"config.train.steps={steps} and config.train.epochs={epochs:g} are both set; "
            "set the other to 0"
        )
