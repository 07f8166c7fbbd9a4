"""FixRes on ImageNet: the last layers of a trained ResNet-50 tuned for a test at 384 pixels.

Command:
    python -m paddle.distributed.launch --gpus 0,1,2,3 main.py \\
        --config=configs/imagenet_resnet_50_fixres_384.py --config.data.root=/path/to/imagenet
    with R-Drop before the classifier: --row=rdrop
Hardware:
    4 cards with 128 images each; only the classifier and the last batch norm are trained. The hours
    are not known. Paddle's weights are downloaded once.
Published:
    79.1 % tested at 384 pixels, 77.0 % without (arXiv:1906.06423, for its own weights; quoted from
    memory). Not re-run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "imagenet"
    config.data.holdout = 0.01
    config.data.crop = "test"
    config.data.flip = 0.0
    config.data.workers = 8

    config.model.name = "resnet_50"
    config.model.pretrained = "resnet_50"
    config.model.image_size = 384
    config.model.trainable = "head_and_norm"

    config.rdrop.copies = 1

    config.optim.name = "momentum"
    config.optim.lr = 1e-3
    config.optim.weight_decay = 1e-4

    config.train.epochs = 10.0
    config.train.batch_size = 128
    config.train.reference_batch_size = 512
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return {"rdrop": {"rdrop.copies": 2, "rdrop.alpha": 1.0, "model.drop_rate": 0.1}}
