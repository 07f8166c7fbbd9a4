"""ResNet-50 on ImageNet from scratch with 8,192 images a step: linear scaling and a warm-up.

Command:
    python -m paddle.distributed.launch --gpus 0,1,2,3,4,5,6,7 main.py \\
        --config=configs/imagenet_resnet_50_large_batch.py --config.data.root=/path/to/imagenet
    without the warm-up: --row=no_warmup; with 256 images a step: --row=batch_256
Hardware:
    8 cards with 1,024 images each, 32 at a time, since 32 are what a batch norm sees in the
    published run. The hours are not known; `python -m tools.reproduce --list` estimates them.
Published:
    Top-1 of 76.26 +- 0.09 % with the warm-up, 75.16 +- 0.37 % without; 76.40 +- 0.12 % with 256
    images a step (arXiv:1706.02677, table 1, as errors; mean and standard deviation of 5 runs). Not
    re-run here.

From section 5.1 there: 90 epochs, a rate of 0.1 for 256 images in proportion to the batch, a tenth
of it at epochs 30, 60 and 80, Nesterov momentum of 0.9, a decay of 1e-4 on weights but not on batch
norms, zero gamma, a head from N(0, 0.01), crops of any scale and ratio, flips. The warm-up there
begins at 0.1, here at 0. Published is the median of the last 5 epochs, so no images are held out,
and the last weights count.
"""

from ml_collections import ConfigDict

from configs import default

_IMAGES = 1_281_167
_RATE, _REFERENCE = 0.1, 256  # images


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "imagenet"
    config.data.crop_scale = (0.08, 1.0)
    config.data.workers = 8

    config.model.name = "resnet_50"
    config.model.zero_gamma = True
    config.model.head_init = "normal_0.01"

    config.rdrop.copies = 1

    config.optim.name = "momentum"
    config.optim.nesterov = True
    config.optim.lr = 3.2
    config.optim.weight_decay = 1e-4
    config.optim.schedule = "multi_step"
    config.optim.milestones = _milestones(8192)
    config.optim.warmup_steps = round(5 * _IMAGES / 8192)

    config.train.epochs = 90.0
    config.train.batch_size = 32
    config.train.accumulation_steps = 32
    config.train.reference_batch_size = 8192
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return {
        "no_warmup": {"optim.warmup_steps": 0},
        "batch_256": {
            "train.accumulation_steps": 1,
            "train.reference_batch_size": _REFERENCE,
            "train.log_every_steps": 100,
            "optim.lr": _RATE,
            "optim.warmup_steps": 0,
            "optim.milestones": _milestones(_REFERENCE),
        },
    }


def _milestones(batch: int) -> tuple[int, ...]:
    """Returns the steps at which epochs 30, 60 and 80 end."""
    return tuple(round(epoch * _IMAGES / batch) for epoch in (30, 60, 80))
