"""Cross-entropy on handwritten digits: `digits_rdrop` with one pass, and with its best dropout.

Command:
    python main.py --config=configs/digits_ce.py
Hardware:
    2 CPU cores, less than a minute; as many optimiser steps as with R-Drop.
Result:
    docs/results.md.
"""

from ml_collections import ConfigDict

from configs import digits_rdrop


def get_config() -> ConfigDict:
    config = digits_rdrop.get_config()
    config.rdrop.copies = 1
    config.model.drop_rate = 0.2
    return config
