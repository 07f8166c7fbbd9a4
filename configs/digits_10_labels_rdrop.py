"""R-Drop on handwritten digits with 10 labelled images a class, where regularisation matters.

Command:
    python main.py --config=configs/digits_10_labels_rdrop.py
Hardware:
    2 CPU cores, half a minute.
Result:
    docs/results.md.
"""

from ml_collections import ConfigDict

from configs import digits_rdrop


def get_config() -> ConfigDict:
    config = digits_rdrop.get_config()
    config.data.labels_per_class = 10
    config.model.drop_rate = 0.2
    config.optim.lr = 8e-3
    config.optim.warmup_steps = 40
    config.train.steps = 400
    config.train.batch_size = 50
    config.train.reference_batch_size = 50
    config.eval.every_steps = 20
    return config
