"""The published ablation of Tiny ImageNet in small: ResNet-18 from scratch at 32 pixels, for a CPU.

Command:
    python -m tools.sweep --config configs/tiny_imagenet_tricks_resnet_18.py --rows --seeds 0 1 2 \\
        --jobs 2 --set data.root=tiny-imagenet-200.zip --set data.max_images=3000 \\
        --set train.epochs=2.0
Hardware:
    2 CPU cores, less than an hour.
Result:
    docs/results.md, with its spread over seeds.

The rows are those of configs/tiny_imagenet_tricks_small.py without stochastic depth, which the
network does not have, and two beginnings of arXiv:1706.02677, section 5.1: residual blocks that
begin as the identity, and a head from N(0, 0.01).
"""

from ml_collections import ConfigDict

from configs import tiny_imagenet_tricks_small


def get_config() -> ConfigDict:
    config = tiny_imagenet_tricks_small.get_config()
    config.model.name = "resnet_18"
    config.model.image_size = 32
    config.model.drop_path_rate = 0.0
    config.optim.lr = 5e-4
    config.optim.warmup_steps = 20
    # With 128 images a step, a run of minutes has too few steps.
    config.train.batch_size = config.train.reference_batch_size = 32
    return config


def get_rows() -> dict[str, dict[str, object]]:
    rows = tiny_imagenet_tricks_small.get_rows()
    return {
        **{name: fields for name, fields in rows.items() if name != "no_stochastic_depth"},
        "zero_gamma": {"model.zero_gamma": True},
        "head_0.01": {"model.head_init": "normal_0.01"},
    }
