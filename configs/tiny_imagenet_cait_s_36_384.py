"""CaiT-S36 on Tiny ImageNet at 384 pixels: `tiny_imagenet_swin_l_384` with another model.

Command:
    python main.py --config=configs/tiny_imagenet_cait_s_36_384.py \\
        --config.data.root=tiny-imagenet-200.zip
    a variant: --row=ROW (see configs/tiny_imagenet_swin_l_384.py), such as --row=finetune_rdrop
Hardware:
    One card with 24 GB, 128 images at a time (finetune: 32). An RTX 3090 trains 32 images of
    CaiT-S36 a second (timm's measurement with AMP, here --config.train.amp=O1): 30 epochs take 26 h
    when every weight is trained, a third more with recompute, twice that with R-Drop; less when
    only the head is.
Published:
    86.74 % (arXiv:2205.10660), without R-Drop and with only the head trained. Not re-run here.
"""

from ml_collections import ConfigDict

from configs import tiny_imagenet_swin_l_384


def get_config() -> ConfigDict:
    config = tiny_imagenet_swin_l_384.get_config()
    config.model.name = "cait_s_36_384"
    config.model.pretrained = "cait_s_36_384"
    config.train.batch_size = 128  # main.py:55
    config.train.accumulation_steps = 1  # main.py:104-105
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return tiny_imagenet_swin_l_384.rows(micro_batch=128)
