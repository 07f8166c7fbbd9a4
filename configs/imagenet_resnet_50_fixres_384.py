"""FixRes on ImageNet: the last layers of a trained ResNet-50 tuned for a test at 384 pixels.

Command:
    python -m paddle.distributed.launch --gpus 0,1,2,3 main.py \\
        --config=configs/imagenet_resnet_50_fixres_384.py --config.data.root=/path/to/imagenet
    with R-Drop before the classifier: --row=rdrop
Hardware:
    4 cards with 128 images each; only the classifier and the last batch norm are trained. The hours
    are not known. The published weights are downloaded once.
Published:
    79.0 % tested at 384 pixels, 77.0 % before, tested at 224 (arXiv:1906.06423; the table in the
    README of github facebookresearch/FixRes; 79.1 % with flips, shifted crops and jitter). Not
    re-run here.

Lines in comments are those of that repository at c9be6ac. docs/configs.md has what differs from it.
For Paddle's own weights: --config.model.pretrained=resnet_50.
"""

from ml_collections import ConfigDict

from configs import default

# "ResNet-50 Baseline" in README.md; a file of PyTorch.
WEIGHTS = (
    "https://dl.fbaipublicfiles.com/FixRes_data/FixRes_Pretrained_Models/ResNet_no_adaptation.pth"
)


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "imagenet"
    config.data.holdout = 0.01
    config.data.crop = "test"  # imnet_finetune/train.py:129
    config.data.interpolation = "bilinear"  # imnet_finetune/transforms.py:37: torchvision's
    config.data.eval_crop = 224 / 256  # imnet_finetune/transforms.py:74
    config.data.flip = 0.0  # imnet_finetune/train.py:129
    config.data.workers = 8

    config.model.name = "resnet_50"
    config.model.pretrained = WEIGHTS
    config.model.mean = (0.485, 0.456, 0.406)  # imnet_finetune/transforms.py:47
    config.model.std = (0.229, 0.224, 0.225)
    config.model.image_size = 384  # README.md, "Example fine-tuning procedure"
    config.model.trainable = "head_and_norm"  # imnet_finetune/train.py:181-184 and 280

    config.rdrop.copies = 1

    config.optim.name = "momentum"
    # 8 * 1e-3 * batch / 512; a tenth of it from the 31st of 56 epochs on.
    config.optim.lr = 8e-3  # imnet_finetune/train.py:208
    config.optim.weight_decay = 1e-4  # imnet_finetune/train.py:209
    config.optim.decay = "all"
    config.optim.schedule = "multi_step"  # imnet_finetune/train.py:210
    config.optim.milestones = (74_310,)  # 30 epochs of 1,268,355 images

    config.train.epochs = 56.0  # README.md, "Example fine-tuning procedure", also the batch
    config.train.batch_size = 128
    config.train.reference_batch_size = 512
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return {"rdrop": {"rdrop.copies": 2, "rdrop.alpha": 1.0, "model.drop_rate": 0.1}}
