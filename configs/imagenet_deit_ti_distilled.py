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

Lines in comments are those of github facebookresearch/deit at 7e160fe. docs/configs.md has what
differs from it.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "imagenet"
    config.data.holdout = 0.01
    config.data.crop_scale = (0.08, 1.0)  # datasets.py:82: timm's
    config.data.auto_augment = "randaugment"  # main.py:98; timm then leaves its colour jitter out
    config.data.erase_probability = 0.25  # main.py:118
    config.data.mixup_alpha = 0.8  # main.py:128
    config.data.cutmix_alpha = 1.0  # main.py:130
    config.data.repeats = 3  # main.py:107, samplers.py
    config.data.eval_crop = 0.875  # main.py:174
    config.data.workers = 8

    config.model.name = "deit_ti_distilled"
    config.model.drop_path_rate = 0.1  # main.py:46

    config.rdrop.copies = 1

    config.loss.label_smoothing = 0.1

    config.distill.teacher = "resnet_152"
    config.distill.weights = "resnet_152"
    config.distill.kind = "hard"
    config.distill.alpha = 0.5  # main.py:144

    config.optim.lr = 1e-3  # 5e-4 for each 512 images: main.py:71
    config.optim.weight_decay = 0.05  # main.py:66
    config.optim.warmup_steps = 6_200  # 5 epochs: main.py:86
    config.optim.final_lr = 1e-5  # main.py:81

    config.train.epochs = 300.0  # main.py:35
    config.train.batch_size = 256  # README_deit.md:221, on 4 cards
    config.train.reference_batch_size = 1024
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return {
        "soft": {"distill.kind": "soft", "distill.alpha": 0.1, "distill.temperature": 3.0},
        "rdrop": {"rdrop.copies": 2, "rdrop.alpha": 1.0, "model.drop_rate": 0.1},
    }
