"""FixRes with R-Drop on CIFAR-100: ViT-B/16 trained at 224 pixels, its last layers tuned at 384.

Command:
    python -m paddle.distributed.launch --gpus 0,1,2,3 main.py \\
        --config=configs/cifar100_vit_b_fixres.py
    on one card: --row=one_card; without R-Drop: --row=cross_entropy
Hardware:
    4 cards with 32 GB. Each takes 128 images a step, 16 at a time. In half precision about
    6 h on 4 V100: a step at 224 pixels is a third of the work of one at 384, of which 10,000 take
    15 h. The second stage has 1,000 steps.
Published:
    Nothing for these models. The method is arXiv:1906.06423: 79.0 % for ResNet-50 on ImageNet,
    trained at 224 and tested at 384 pixels (77.0 % tested at 224; the table in the README of
    facebookresearch/FixRes). Not re-run here.

Random resized crops make objects look larger in training than in testing. A higher resolution in
the test compensates for it. The second stage fits the classifier and the last norm to that, on
images that are transformed as in the test.
"""

from ml_collections import ConfigDict

from configs import cifar100_vit_b_384


def get_config() -> ConfigDict:
    config = cifar100_vit_b_384.get_config()
    config.model.name = "vit_b_16"
    config.model.image_size = 224
    config.data.crop_scale = (0.08, 1.0)
    return config


def get_rows() -> dict[str, dict[str, object]]:
    # A row also counts in the second stage, which has a rate of its own.
    return {**cifar100_vit_b_384.get_rows(), "cross_entropy": {"rdrop.copies": 1}}


def get_stages() -> dict[str, dict[str, object]]:
    tune = {
        "model.image_size": 384,
        "model.trainable": "head_and_norm",
        "data.crop": "test",
        "optim.lr": 1e-3,
        "optim.warmup_steps": 0,
        "train.steps": 1_000,
    }
    return {"1_at_224": {}, "2_fixres_at_384": tune}
