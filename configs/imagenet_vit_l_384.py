"""R-Drop fine-tuning of ViT-L/16 on ImageNet at 384 pixels: `imagenet_vit_b_384` with ViT-L.

Command:   python -m paddle.distributed.launch --gpus 0,1,2,3 main.py --config=configs/imagenet_vit_l_384.py \\
               --config.data.root=/path/to/imagenet --config.train.batch_size=32 --config.train.accumulation_steps=4
Hardware:  4 cards; a card with 32 GB takes fewer images than 128, which accumulation makes up for. About 3.4 times the
           hours of ViT-B, by multiply-adds (190.7 G against 55.5 G).
Published: 85.57 %, without R-Drop 85.15 % (arXiv:2106.14448; quoted from memory, not checked). Not re-run here.
"""

from configs import imagenet_vit_b_384

get_rows = imagenet_vit_b_384.get_rows


def get_config():
    config = imagenet_vit_b_384.get_config()
    config.model.name = "vit_l_16_384"
    config.model.pretrained = "google/imagenet21k/ViT-L_16"
    return config
