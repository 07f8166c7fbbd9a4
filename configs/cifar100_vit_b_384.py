"""ViT-B/16 fine-tuned with R-Drop on CIFAR-100 at 384 pixels.

Command:
    python -m paddle.distributed.launch --gpus 0,1,2,3 main.py \\
        --config=configs/cifar100_vit_b_384.py
    on one card: --row=one_card, which takes the same 512 images a step by accumulation, so the
    objective is the same
Hardware:
    4 cards with 32 GB. Each takes 128 images a step, each image twice, 16 at a time: float32 needs
    17 GB by the estimate of --dry_run (128 at a time: 130 GB). In half precision
    (train.amp=O1) about 15 h on 4 V100: one took 54 h for the same 10,000 steps of 512 images.
Published:
    93.29 %, without R-Drop 92.64 % (arXiv:2106.14448; quoted from memory); 93.48 % (its Paddle
    reproduction, github zbp-xxxp/R-Drop-Paddle, images/test.png; its README.md has 93.44 %, and
    93.92 % for the best step of the run). Not re-run here. Those reproductions, and the official
    code (vit_src/train.py:225-230), choose the step by the test images; here 1,000 training images
    choose it.

The weight of the KL term is the open question of the published runs. The paper's alpha for images
(0.6, from memory) is 0.3 per sample. Its code's default of 0.3, with KL summed over a micro-batch
of 32, is 9.6 per sample. The default of the Paddle reproduction, 0.3 summed over 8 images, is 2.4.
This config has that of the official code.

The official loss is CE1 + CE2 + 0.3 (KL1 + KL2) (vit_src/models/modeling.py:287-298), twice ours.
So that each step is as long as there, the rate is twice the official 0.01, and the gradient is
clipped at half the official 1.0: min(1, 1 / |2 g|) 2 g * 0.01 = min(1, 0.5 / |g|) g * 0.02. Lines
in comments are those of vit_src of github dropreg/R-Drop at 9dcc830. docs/configs.md has what
differs from it.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "cifar100"
    config.data.holdout = 0.02  # 1,000 images; 0 trains on all and takes the last weights
    config.data.crop = "random_resized"
    config.data.crop_scale = (0.05, 1.0)  # utils/data_utils.py:17
    config.data.interpolation = "bilinear"
    config.data.flip = 0.0  # utils/data_utils.py:16-20
    config.data.workers = 4

    config.model.name = "vit_b_16_384"
    config.model.pretrained = "google/imagenet21k/ViT-B_16"
    config.model.drop_rate = 0.1  # models/configs.py:44
    # Behind the attention's projection the official code has the attention's rate, 0.
    config.model.proj_drop_rate = 0.0  # models/modeling.py:66, models/configs.py:43
    config.model.head_init = "zero"  # train.py:66

    config.rdrop.alpha = 9.6  # 0.3 * 32: train.py:284, modeling.py:294-298

    config.optim.name = "momentum"  # train.py:155
    config.optim.lr = 0.02  # 2 * 0.01: train.py:272
    config.optim.clip_norm = 0.5  # 1.0 / 2: train.py:282
    config.optim.warmup_steps = 500  # train.py:280

    # ViT's own (vit_jax/configs/common.py:94); train.py:276 has 200,000 by default.
    config.train.steps = 10_000
    config.train.batch_size = 16
    config.train.accumulation_steps = 8
    config.train.reference_batch_size = 512
    config.eval.every_steps = 500
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return {
        "one_card": {"train.accumulation_steps": 32},
        # One cross-entropy, so the official rate and clipping as they are.
        "cross_entropy": {"rdrop.copies": 1, "optim.lr": 0.01, "optim.clip_norm": 1.0},
        "fp16": {"train.amp": "O1"},
    }
