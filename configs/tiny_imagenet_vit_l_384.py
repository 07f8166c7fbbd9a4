"""ViT-L/16 on Tiny ImageNet at 384 pixels: `tiny_imagenet_swin_l_384` with another model.

Command:
    python main.py --config=configs/tiny_imagenet_vit_l_384.py \\
        --config.data.root=tiny-imagenet-200.zip
    a variant: --row=ROW (see configs/tiny_imagenet_swin_l_384.py), such as --row=finetune_rdrop
Hardware:
    One card with 24 GB, 64 images at a time (finetune: 32). An RTX 3090 trains 29 images of ViT-L a
    second (timm's measurement with AMP, here --config.train.amp=O1): 30 epochs take 29 h when every
    weight is trained, a third more with recompute, twice that with R-Drop; less when only the head
    is.
Published:
    86.43 % (arXiv:2205.10660), without R-Drop and with only the head trained. Not re-run here.
"""

from ml_collections import ConfigDict

from configs import tiny_imagenet_swin_l_384


def get_config() -> ConfigDict:
    config = tiny_imagenet_swin_l_384.get_config()
    config.model.name = "vit_l_16_384"
    config.model.pretrained = "timm/vit_large_patch16_384.augreg_in21k_ft_in1k"
    # The weights expect 0.5 and 0.5; the published code has ImageNet's for all models.
    config.model.mean = (0.485, 0.456, 0.406)  # dataset.py:43
    config.model.std = (0.229, 0.224, 0.225)  # dataset.py:44
    config.train.batch_size = 64  # main.py:64
    config.train.accumulation_steps = 2  # main.py:104-105
    return config


def get_rows() -> dict[str, dict[str, object]]:
    return tiny_imagenet_swin_l_384.rows(micro_batch=64)
