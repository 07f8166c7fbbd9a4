"""R-Drop with 10 labelled digits a class."""

from configs import digits_rdrop


def get_config():
    config = digits_rdrop.get_config()
    config.data.labels_per_class = 10
    config.train.batch_size = 50
    config.train.steps = 400
    config.optim.warmup_steps = 40
    config.eval.every_steps = 20
    return config
