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
from program.config.config_fields import KINDS, fits, flattened


def validate(config: ConfigDict) -> None:
    """Checks the values of a config.

    Raises:
        UserError: naming the first field that is out of its range, or does not go with another.
    """
    given = flattened(config)
    for name, expected in flattened(default.get_config()).items():
        value = given.get(name)
        if not fits(value, expected):
            raise UserError(
                f"config.{name} is {value!r}, expected {KINDS.get(type(expected), 'text')}"
            )
        known = trait(name)
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
    config_rules.check(config)


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
    if not steps and not epochs:
        raise UserError("config.train.steps and config.train.epochs are both 0; set one of them")
    if steps and epochs:
        raise UserError(
            f"config.train.steps={steps} and config.train.epochs={epochs:g} are both set; "
            "set the other to 0"
        )
