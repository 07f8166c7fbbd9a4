"""R-Drop on CIFAR-100 at its own 32 pixels: `cifar10_small` with 100 classes.

Command:
    python main.py --config=configs/cifar100_small.py \\
        --config.data.root=cifar-100-python.tar.gz
Hardware:
    2 CPU cores.
"""

from ml_collections import ConfigDict

from configs import cifar10_small


def get_config() -> ConfigDict:
    config = cifar10_small.get_config()
    config.data.name = "cifar100"
    config.model.mean = (0.5071, 0.4865, 0.4409)
    config.model.std = (0.2673, 0.2564, 0.2762)
    return config
