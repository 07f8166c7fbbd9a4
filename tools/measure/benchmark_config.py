"""Makes the config of a benchmark from its flags."""

import argparse

from ml_collections import ConfigDict

from configs import default
from engine.plan import resolve_config
from program import validation


def config_of(arguments: argparse.Namespace, **rdrop: int) -> ConfigDict:
    """Returns the config of a run with 1000 classes, with all fields resolved.

    Args:
        arguments: the flags of `tools.benchmark`.
        rdrop: `copies` and `shared_blocks`, when they are not those of the flags.

    Raises:
        UserError: when a flag has a value that its field does not take.
    """
    config = default.get_config()
    config.model.update(
        name=arguments.model,
        image_size=arguments.image_size,
        drop_rate=arguments.drop_rate,
        operators=arguments.operators,
    )
    config.rdrop.update(copies=arguments.copies, shared_blocks=arguments.shared_blocks)
    config.rdrop.update(rdrop)
    config.optim.name = arguments.optimizer
    config.train.update(
        batch_size=arguments.batch,
        steps=10**6,
        amp=arguments.amp,
        recompute=arguments.recompute,
    )
    validation.validate(config)
    return resolve_config.with_classes(resolve_config.with_input(config), 1000)
