"""The figures of the tricks: warm-up with a large batch, FixRes, distillation.

Sources: Goyal et al., arXiv:1706.02677, table 1 and section 5.1; github.com/facebookresearch/FixRes
(README.md); github.com/facebookresearch/deit (README_deit.md).
"""

from tools.reproduction.published.kinds import Figure, Published

_TABLE = "arXiv:1706.02677, table 1 (100 less the top-1 error)"
_LARGE_BATCH = Figure(
    name="imagenet_resnet_50_large_batch",
    title="ResNet-50 on ImageNet, 8,192 images a step, gradual warm-up",
    published=Published(76.26, _TABLE, deviation=0.09, runs=5),
    config="imagenet_resnet_50_large_batch",
    data="imagenet",
    cards=8,
    set_up="256 P100; 8,192 images a step, 32 on each card; 90 epochs",
    open_questions=(
        "the ends of the warm-up: published from 0.1 to 3.2 in 5 epochs; here from 0 to 3.2",
    ),
    differences=(
        "published is the median of the last 5 epochs, here the last weights are evaluated once",
        "32 images of a batch norm as published need `train.batch_size=32`, which the config has; "
        "a --batch of another size changes the model's statistics",
    ),
)
WARM_UP = (
    _LARGE_BATCH,
    _LARGE_BATCH.variant(
        "batch_256",
        "ResNet-50 on ImageNet, 256 images a step, no warm-up",
        Published(76.40, _TABLE, deviation=0.12, runs=5),
        name="imagenet_resnet_50_batch_256",
        set_up="8 P100; 256 images a step, 32 on each card; 90 epochs",
        open_questions=(),
    ),
    _LARGE_BATCH.variant(
        "no_warmup",
        "ResNet-50 on ImageNet, 8,192 images a step, no warm-up",
        Published(75.16, _TABLE, deviation=0.37, runs=5),
        open_questions=(),
    ),
)

FIXRES = (
    Figure(
        name="imagenet_resnet_50_fixres_384",
        title="FixRes, ResNet-50 tuned for 384 pixels on ImageNet",
        published=Published(
            79.0,
            "facebookresearch/FixRes, README.md, table of the pre-trained networks (79.1 with its "
            "transforms_v2)",
            digits=1,
        ),
        config="imagenet_resnet_50_fixres_384",
        data="imagenet",
        cards=4,
        set_up="8 cards with 64 images each, a rate of 1e-3, 56 epochs (README.md, fine-tuning)",
        open_questions=("seeds: not stated",),
        differences=(
            "1 % of the training images are held out to choose the weights",
            "the run may have had another number of cards; its 512 images a step are the same",
        ),
    ),
)

DISTILLATION = (
    Figure(
        name="imagenet_deit_ti_distilled",
        title="distillation, DeiT-Ti with a distillation token on ImageNet",
        published=Published(
            74.5, "facebookresearch/deit, README_deit.md (model zoo); 72.2 without", digits=1
        ),
        config="imagenet_deit_ti_distilled",
        data="imagenet",
        cards=4,
        set_up="1,024 images a step, 300 epochs (arXiv:2012.12877); the cards are not stated",
        open_questions=("seeds: not stated",),
        differences=(
            "the teacher: published is a RegNetY-16GF of 82.9 %; here a ResNet-152, since there is "
            "no RegNet",
            "1 % of the training images are held out to choose the weights",
        ),
    ),
)
