"""R-Drop fine-tuning of PPIM's distilled DeiT-B at 384 pixels on CIFAR-100, the two heads averaged as PPIM does.

Command:   python -m paddle.distributed.launch --gpus 0,1,2,3 main.py --config=configs/cifar100_deit_b_distilled_384.py
Hardware:  4 cards with 128 images each; PPIM's weights are downloaded once.
Published: a Paddle reproduction with alpha 5, dropout 0.3, AdamW first and then Momentum with L2 decay and polynomial
           decay of the rate. This is the Momentum stage alone, from PPIM's weights; not re-run here.
"""

from configs import cifar100_vit_b_384


def get_config():
    config = cifar100_vit_b_384.get_config()
    config.model.name = "deit_b_distilled_384"
    config.model.pretrained = "deit_b_distilled_384"
    config.model.train_head = "average"  # as PPIM, with which it was published
    config.model.drop_rate = 0.3
    config.model.head_init = "normal"
    config.data.interpolation = "bicubic"
    config.data.flip = 0.5
    config.rdrop.alpha = 5.0
    config.optim.lr = 1e-3
    config.optim.weight_decay = 1e-2
    config.optim.schedule = "polynomial"
    return config
