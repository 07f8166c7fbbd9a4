"""R-Drop on Tiny ImageNet at its own 64 pixels: a nano ViT from scratch, for a CPU.

Command:
    python main.py --config=configs/tiny_imagenet_small.py \\
        --config.data.root=tiny-imagenet-200.zip
Hardware:
    2 CPU cores; docs/results.md has the time and the accuracy on a subset.
"""

from ml_collections import ConfigDict

from configs import cifar10_small


def get_config() -> ConfigDict:
    config = cifar10_small.get_config()
    config.data.name = "tiny_imagenet"
    config.data.crop = "random_resized"
    config.data.crop_scale = (0.35, 1.0)

    config.model.name = "vit_n_8"
    config.model.mean = (0.485, 0.456, 0.406)
    config.model.std = (0.229, 0.224, 0.225)
    config.model.drop_rate = 0.05
    return config
