"""DeiT-Ti with a distillation token on ImageNet at 224 pixels, from scratch: DeiT's whole recipe.

Command:
    python -m paddle.distributed.launch --gpus 0,1,2,3 main.py \\
        --config=configs/imagenet_deit_ti_distilled.py --config.data.root=/path/to/imagenet
    with soft targets: --row=soft; with R-Drop: --row=rdrop
Hardware:
    4 cards with 256 images each. The hours are not known (DeiT's authors: 53 h for DeiT-B on 8
    V100, without distillation).
Published:
    74.5 % with a RegNetY-16GF of 82.9 % as the teacher, 72.2 % without a teacher
    (arXiv:2012.12877). The models here include no RegNet; ResNet-152 with Paddle's weights takes
    its place. Not re-run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "imagenet"
    config.data.holdout = 0.01
    config.data.crop_scale = (0.08, 1.0)
    config.data.auto_augment = "randaugment"
    config.data.erase_probability = 0.25
    config.data.mixup_alpha = 0.8
    config.data.cutmix_alpha = 1.0
    config.data.repeats = 3
    config.data.workers = 8

    config.model.name = "deit_ti_distilled"
    config.model.drop_path_rate = 0.1

    config.rdrop.copies = 1

    config.loss.label_smoothing = 0.1

    config.distill.teacher = "resnet_152"
    config.distill.weights = "resnet_152"
    config.distill.kind = "hard"
    config.distill.alpha = 0.5

    config.optim.lr = 1e-3  # 5e-4 for each 512 images
    config.optim.weight_decay = 0.05
    config.optim.warmup_steps = 6_200  # 5 epochs
    config.optim.final_lr = 1e-5

    config.train.epochs = 300.0
    config.train.batch_size = 256
    config.train.reference_batch_size = 1024
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return {
        "soft": {"distill.kind": "soft", "distill.alpha": 0.1, "distill.temperature": 3.0},
        "rdrop": {"rdrop.copies": 2, "rdrop.alpha": 1.0, "model.drop_rate": 0.1},
    }
