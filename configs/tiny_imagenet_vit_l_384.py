"""R-Drop fine-tuning of ViT-L/16 on Tiny ImageNet at 384 pixels: `tiny_imagenet_deit_b_distilled_384` with ViT-L.

Command:   python -m paddle.distributed.launch --gpus 0,1,2,3 main.py --config=configs/tiny_imagenet_vit_l_384.py \\
               --config.data.root=tiny-imagenet-200.zip
Hardware:  4 cards with 32 images each, or one with --config.train.accumulation_steps=4.
Published: 86.43 % without R-Drop, with mixup, CutMix and random erasing, which are not part of this config; its code
           trains the head alone, this trains everything. Not re-run here.
"""

from configs import tiny_imagenet_deit_b_distilled_384


def get_config():
    config = tiny_imagenet_deit_b_distilled_384.get_config()
    config.model.name = "vit_l_16_384"
    config.model.pretrained = "timm/vit_large_patch16_384.augreg_in21k_ft_in1k"
    return config
