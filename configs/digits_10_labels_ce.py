"""Cross-entropy on handwritten digits with 10 labelled images a class, with its best dropout.

Command:
    python main.py --config=configs/digits_10_labels_ce.py
Hardware:
    2 CPU cores, 15 seconds; as many optimiser steps as with R-Drop.
Result:
    docs/results.md.
"""

from ml_collections import ConfigDict

from configs import digits_10_labels_rdrop


def get_config() -> ConfigDict:
    config = digits_10_labels_rdrop.get_config()
    config.rdrop.copies = 1
    config.model.drop_rate = 0.4
    return config
