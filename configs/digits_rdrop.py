"""R-Drop on handwritten digits: a nano ViT from scratch. The default of `main.py`.

Command:
    python main.py
Hardware:
    2 CPU cores, about a minute.
Result:
    docs/results.md, with its spread over seeds and how rate, alpha and dropout were chosen.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "digits"
    config.data.holdout = 0.1
    config.data.crop = "none"
    config.data.flip = 0.0

    config.model.name = "vit_n_2"
    config.model.drop_rate = 0.1

    config.rdrop.alpha = 3.0

    config.optim.lr = 6e-3
    config.optim.weight_decay = 0.05
    config.optim.warmup_steps = 100

    config.train.steps = 900
    config.train.batch_size = 64
    config.train.reference_batch_size = 64
    config.eval.batch_size = 500
    return config
