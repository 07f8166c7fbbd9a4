"""Distilled DeiT-B on Tiny ImageNet at 384 pixels: `tiny_imagenet_swin_l_384` with another model.

Command:
    python main.py --config=configs/tiny_imagenet_deit_b_distilled_384.py \\
        --config.data.root=tiny-imagenet-200.zip
    a variant: --row=ROW (see configs/tiny_imagenet_swin_l_384.py), such as --row=finetune_rdrop
Hardware:
    One card with 24 GB, 64 images at a time (finetune: 32). An RTX 3090 trains 95 images of DeiT-B
    a second (timm's measurement with AMP, here --config.train.amp=O1): 30 epochs take 9 h when
    every weight is trained, a third more with recompute, twice that with R-Drop; less when only the
    head is.
Published:
    87.29 % (arXiv:2205.10660), without R-Drop and with only the head trained. Not re-run here.
"""

from ml_collections import ConfigDict

from configs import tiny_imagenet_swin_l_384


def get_config() -> ConfigDict:
    config = tiny_imagenet_swin_l_384.get_config()
    config.model.name = "deit_b_distilled_384"
    config.model.pretrained = "deit_b_distilled_384"
    # timm's model averages its heads, unless it is told otherwise (timm 0.6.7, deit.py:167-173).
    config.model.train_head = "average"
    config.model.drop_path_rate = 0.0  # engine.py:14-16: it trains in evaluation mode
    config.train.batch_size = 64  # main.py:58
    config.train.accumulation_steps = 2  # main.py:104-105
    return config


def get_rows() -> dict[str, dict[str, object]]:
    rows = tiny_imagenet_swin_l_384.rows(micro_batch=64)
    del rows["no_stochastic_depth"]  # there is none
    for name in ("finetune", "finetune_rdrop"):
        rows[name]["model.drop_path_rate"] = 0.1
    return rows
