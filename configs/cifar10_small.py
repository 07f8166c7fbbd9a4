"""R-Drop on CIFAR-10 at its own 32 pixels: a nano ViT from scratch, for a CPU.

Command:
    python main.py --config=configs/cifar10_small.py \\
        --config.data.root=cifar-10-python.tar.gz
Hardware:
    2 CPU cores; docs/results.md has the time and the accuracy on a subset.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "cifar10"
    config.data.holdout = 0.05
    config.data.crop = "padded"
    config.data.crop_padding = 4

    config.model.name = "vit_n_4"
    config.model.drop_rate = 0.1
    config.model.mean = (0.4914, 0.4822, 0.4465)
    config.model.std = (0.2470, 0.2435, 0.2616)

    config.optim.lr = 3e-3
    config.optim.weight_decay = 0.05
    config.optim.warmup_steps = 200
    config.optim.clip_norm = 1.0

    config.train.epochs = 20.0
    config.train.batch_size = 128
    config.train.reference_batch_size = 128
    config.eval.batch_size = 500
    return config
