"""The figures of Tiny ImageNet: four models, the ablation, optimisers and batch sizes.

Sources: arXiv:2205.10660; its repository github.com/ehuynh1106/TinyImageNet-Transformers: README.md
and `main.py` at c8798c2, and `report.pdf`, a draft of the paper, at 6b1c4a2.
"""

from tools.reproduction.published.kinds import Figure, Published

_REPOSITORY = "ehuynh1106/TinyImageNet-Transformers"
_README = f"{_REPOSITORY}, README.md at c8798c2 (model zoo)"
_DRAFT = f"{_REPOSITORY}, report.pdf at 6b1c4a2"
_UNCHECKED = "arXiv:2205.10660, as the config's docstring has it; not in the draft of the paper"

_BEST_EPOCH = (
    "which weights count: published is the highest accuracy on the validation images that any of "
    "the 30 epochs had (report.pdf, table 2); here held-out training images choose, and the "
    "validation images are read once, so this figure is the lower one"
)
_FROZEN = (
    "what is trained: the report speaks of fine-tuning, and the code freezes all but the head "
    "(main.py, load_model); the config does as the code"
)
_SEEDS = "seeds: one run for each value, as far as the source says; without a spread"
_BASE = (
    "which base the rows change: in the draft the base has RandAugment of magnitude 9 (91.34), and "
    "its best has magnitude 0 (91.35); the rows here change the latter"
)
_SET_UP = (
    "1 RTX 3070 with 8 GB; 128 images a step by accumulation, 384 pixels, 30 epochs, half "
    "precision (`autocast`)"
)
_DIFFERENCES = (
    "2 % of the training images are held out to choose the weights",
    "precision: published in half precision; here float32, unless `--set train.amp=O1` is given",
)


def _model(name: str, title: str, value: float) -> Figure:
    return Figure(
        name=name,
        title=f"{title} on Tiny ImageNet",
        published=Published(value, _README),
        config=name,
        data="tiny_imagenet",
        cards=1,
        set_up=_SET_UP,
        open_questions=(_BEST_EPOCH, _FROZEN, _SEEDS),
        differences=_DIFFERENCES,
    )


_SWIN = _model("tiny_imagenet_swin_l_384", "Swin-L", 91.35)
MODELS = (
    _SWIN,
    _model("tiny_imagenet_deit_b_distilled_384", "DeiT-B distilled", 87.29),
    _model("tiny_imagenet_cait_s_36_384", "CaiT-S36", 86.74),
    _model("tiny_imagenet_vit_l_384", "ViT-L/16", 86.43),
)

# What a row changes, its value, and where it is from.
_ABLATION = {
    "randaugment": ("RandAugment added", 91.34, f"{_DRAFT}, table 4 (its default)"),
    "no_erasing": ("no random erasing", 91.28, f"{_DRAFT}, table 4"),
    "simple_crop": ("simple random crop", 91.26, _UNCHECKED),
    "no_stochastic_depth": ("no stochastic depth", 91.25, _UNCHECKED),
    "no_label_smoothing": ("no label smoothing", 91.25, _UNCHECKED),
    "autoaugment": ("AutoAugment added", 91.25, _UNCHECKED),
    "no_mixup": ("no mixup", 91.11, f"{_DRAFT}, table 4"),
    "random_resized_crop": ("random resized crop", 91.06, _UNCHECKED),
    "no_cutmix": ("no CutMix", 91.04, f"{_DRAFT}, table 4"),
    "ema": ("average of the weights", 90.83, _UNCHECKED),
}
_SECTION = f"{_DRAFT}, section 4.1"
_OPTIMISERS = {
    "nesterov": ("SGD with Nesterov momentum", 91.21),
    "sgd": ("SGD with momentum", 91.1),
}
_ADAMW_TOO = "the third optimiser, AdamW, is tiny_imagenet_swin_l_384 itself"
_BATCHES = {"batch_32": "32 images a step", "batch_64": "64 images a step"}
_BATCH_TOO = "the third batch, of 128 images, is tiny_imagenet_swin_l_384 itself"

ABLATION = tuple(
    _SWIN.variant(
        row,
        f"Swin-L on Tiny ImageNet, {title}",
        Published(value, source),
        open_questions=(*_SWIN.open_questions, _BASE),
    )
    for row, (title, value, source) in _ABLATION.items()
)
OPTIMISERS = tuple(
    _SWIN.variant(
        row,
        f"Swin-L on Tiny ImageNet, {title}",
        Published(value, _SECTION, digits=1 if row == "sgd" else 2),
        open_questions=(
            *_SWIN.open_questions,
            "rate: the report has 1e-2, and its code does not divide the loss by its accumulation "
            "of 4; what the config takes is in its comment",
            _ADAMW_TOO,
        ),
    )
    for row, (title, value) in _OPTIMISERS.items()
)
BATCHES = tuple(
    _SWIN.variant(
        row,
        f"Swin-L on Tiny ImageNet, {title}",
        Published(None, "arXiv:2205.10660 compares it; no value of it is at hand"),
        open_questions=(
            *_SWIN.open_questions,
            "rate: not stated for this batch; here in proportion to it",
            _BATCH_TOO,
        ),
    )
    for row, title in _BATCHES.items()
)
