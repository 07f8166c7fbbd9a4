"""R-Drop fine-tuning of PPIM's distilled DeiT-B on Tiny ImageNet at 384 pixels.

Command:   python -m paddle.distributed.launch --gpus 0,1,2,3 main.py \\
               --config=configs/tiny_imagenet_deit_b_distilled_384.py --config.data.root=tiny-imagenet-200.zip
Hardware:  4 cards with 32 images each, or one with --config.train.accumulation_steps=4.
Published: 87.29 % without R-Drop, with mixup, CutMix and random erasing, which are not part of this config; its code
           trains the head alone, this trains everything. Not re-run here.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.data.name = "tiny_imagenet"
    config.data.holdout = 0.02
    config.data.crop_scale = (0.08, 1.0)
    config.data.workers = 4

    config.model.name = "deit_b_distilled_384"
    config.model.pretrained = "deit_b_distilled_384"
    config.model.train_head = "average"  # as PPIM, with which it was published
    config.model.drop_rate = 0.1
    config.model.drop_path_rate = 0.1

    config.loss.label_smoothing = 0.1

    config.optim.lr = 1e-3
    config.optim.weight_decay = 0.05
    config.optim.warmup_steps = 500
    config.optim.clip_norm = 1.0

    config.train.epochs = 30.0
    config.train.batch_size = 32
    config.train.reference_batch_size = 128
    return config
