"""R-Drop on your own images at 64 pixels: a nano ViT from scratch.

The images are in `ROOT/<class>/*` or `ROOT/train/<class>/*`.

Command:
    python main.py --config=configs/folder_small.py --config.data.root=ROOT
Hardware:
    Any. With pretrained weights configs/folder.py is far better.
"""

from ml_collections import ConfigDict

from configs import tiny_imagenet_small


def get_config() -> ConfigDict:
    config = tiny_imagenet_small.get_config()
    config.data.name = "folder"
    config.data.holdout = 0.1
    config.model.drop_rate = 0.1
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 50
    config.train.batch_size = 32
    config.train.reference_batch_size = 0
    return config
