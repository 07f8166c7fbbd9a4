"""ViT-B/16 fine-tuned with R-Drop on CIFAR-100 at 384 pixels.

Command:
    python -m paddle.distributed.launch --gpus 0,1,2,3 main.py \\
        --config=configs/cifar100_vit_b_384.py
    on one card: --row=one_card, which takes the same 512 images a step by accumulation, so the
    objective is the same
Hardware:
    4 cards with 32 GB. Each takes 128 images a step, each image twice, 16 at a time: float32 needs
    17 GB by the estimate of --dry_run (128 at a time: 130 GB). About 14 h on 4 V100: one V100 took
    54 h for the same 10,000 steps of 512 images (52 passes a second).
Published:
    93.29 %, without R-Drop 92.64 % (arXiv:2106.14448; quoted from memory); 93.48 % (its Paddle
    reproduction). Not re-run here.

The weight of the KL term is the open question of the published runs. The paper's alpha for images
(0.6, from memory) is 0.3 per sample. Its code's default of 0.3, with KL summed over a micro-batch
of 32, is 9.6 per sample. The default of the Paddle reproduction, 0.3 summed over 8 images, is 2.4.
This config has that of the official code.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "cifar100"
    config.data.holdout = 0.02  # 1,000 images; 0 trains on all and takes the last weights
    config.data.crop = "random_resized"
    config.data.crop_scale = (0.05, 1.0)
    config.data.interpolation = "bilinear"
    config.data.flip = 0.0
    config.data.workers = 4

    config.model.name = "vit_b_16_384"
    config.model.pretrained = "google/imagenet21k/ViT-B_16"
    config.model.drop_rate = 0.1
    config.model.head_init = "zero"

    config.rdrop.alpha = 9.6

    config.optim.name = "momentum"
    config.optim.lr = 0.01
    config.optim.clip_norm = 1.0
    config.optim.warmup_steps = 500

    config.train.steps = 10_000
    config.train.batch_size = 16
    config.train.accumulation_steps = 8
    config.train.reference_batch_size = 512
    config.eval.every_steps = 500
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return {
        "one_card": {"train.accumulation_steps": 32},
        "cross_entropy": {"rdrop.copies": 1},
        "fp16": {"train.amp": "O1"},
    }
