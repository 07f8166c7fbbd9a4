"""The published ablation of Tiny ImageNet on handwritten digits: a nano ViT from scratch.

Command:
    python -m tools.sweep --config configs/digits_tricks.py --rows --seeds 0 1 2 --jobs 2
Hardware:
    2 CPU cores, half an hour.
Result:
    docs/results.md, with its spread over seeds.

The rows are those of configs/tiny_imagenet_tricks_small.py.
"""

from ml_collections import ConfigDict

from configs import digits_ce, tiny_imagenet_tricks_small

get_rows = tiny_imagenet_tricks_small.get_rows


def get_config() -> ConfigDict:
    return tiny_imagenet_tricks_small.with_tricks(digits_ce.get_config())
