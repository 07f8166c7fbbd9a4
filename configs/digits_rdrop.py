"""R-Drop on handwritten digits: what `python main.py` runs."""

from configs import default


def get_config():
    config = default.get_config()
    config.data.name = "digits"
    config.data.holdout = 0.1
    config.data.crop = "none"
    config.data.flip = 0.0
    config.model.name = "vit_n_2"
    config.model.drop_rate = 0.1
    config.optim.lr = 3e-3
    config.optim.weight_decay = 0.05
    config.optim.warmup_steps = 100
    config.train.steps = 900
    config.train.batch_size = 64
    config.eval.batch_size = 512
    return config
