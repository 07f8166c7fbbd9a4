"""The published ablation of Tiny ImageNet in small: a nano ViT from scratch, for a CPU.

Command:
    python -m tools.sweep --config configs/tiny_imagenet_tricks_small.py --rows --seeds 0 1 2 \\
        --jobs 2 --set data.root=tiny-imagenet-200.zip --set train.epochs=2.0
Hardware:
    2 CPU cores, about an hour on 20,000 of the images.
Result:
    docs/results.md, with its spread over seeds.

The rows are those of configs/tiny_imagenet_swin_l_384.py that make sense for weights from scratch.
"""

from ml_collections import ConfigDict

from configs import tiny_imagenet_small, tiny_imagenet_swin_l_384

_ROWS = (
    *("randaugment", "no_erasing", "simple_crop", "no_stochastic_depth", "no_label_smoothing"),
    *("autoaugment", "no_mixup", "random_resized_crop", "no_cutmix", "rdrop"),
)


def get_config() -> ConfigDict:
    return with_tricks(tiny_imagenet_small.get_config())


def with_tricks(config: ConfigDict) -> ConfigDict:
    """Adds the tricks of the published run to a config for a smaller model."""
    published = tiny_imagenet_swin_l_384.get_config()
    config.data.crop = published.data.crop
    config.data.mixup_alpha = published.data.mixup_alpha
    config.data.cutmix_alpha = published.data.cutmix_alpha
    config.data.erase_probability = published.data.erase_probability
    config.model.drop_rate = 0.0
    config.model.drop_path_rate = 0.1
    config.rdrop.copies = 1
    config.loss.label_smoothing = 0.1
    return config


def get_rows() -> dict[str, dict[str, object]]:
    rows = tiny_imagenet_swin_l_384.get_rows()
    # From scratch SGD needs another rate; and its decay, which is added to the gradient, must be
    # smaller than that of AdamW.
    sgd = {"optim.lr": 0.05, "optim.weight_decay": 5e-4}
    return {
        **{name: rows[name] for name in _ROWS},
        "randaugment": {"data.auto_augment": "randaugment"},  # timm's
        "ema": {"average.ema_decay": 0.99},
        "nesterov": {**rows["nesterov"], **sgd},
        "sgd": {**rows["sgd"], **sgd},
    }
