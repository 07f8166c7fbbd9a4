"""The tables of docs/results.md: which experiment, which rows, what they are compared with.

To add one: a `Table` here, its markers in docs/results.md and docs/cn/results.md, and lines in
docs/results/EXPERIMENT.jsonl (tools.sweep --lines). Then `make results-tables`.
"""

from __future__ import annotations

from tools.results.settings import Row, Table, Text, by_value

_LABELS = (10, 50, 200, 1000)  # of a class
# The methods of the main table: the beginning of the row's name in the config, and the reader's.
_METHODS: dict[str, Text] = {
    "rdrop": ("R-Drop", "R-Drop"),
    "ce": ("cross-entropy, same steps", "交叉熵，步数相同"),
    "ce_twice": ("cross-entropy, same passes", "交叉熵，前向次数相同"),
}


def _by_labels() -> list[Row]:
    """Returns the rows of the main table; those of the config are `rdrop_10`, `ce_twice_10`, ..."""
    return [
        Row(
            f"{method}_{labels}",
            (f"{labels:,} labels a class, {name[0]}", f"每类 {labels:,} 个标签，{name[1]}"),
            {"row": f"{method}_{labels}"},
            (f"ce_{labels}", f"ce_twice_{labels}") if method == "rdrop" else (),
            line=name,
            x=f"{labels:,}",
        )
        for labels in _LABELS
        for method, name in _METHODS.items()
    ]


_MAIN = "cifar10_vit_s_14"  # the ViT-S/14 on CIFAR-10: the main table and its ablations
TABLES = (
    Table(
        _MAIN,
        ("CIFAR-10, a pretrained ViT-S/14", "CIFAR-10，预训练 ViT-S/14"),
        _MAIN,
        _by_labels(),
        (_METHODS["ce"], _METHODS["ce_twice"]),
        ("labels a class", "每类标签数"),
    ),
    Table(
        f"{_MAIN}_alpha",
        ("Weight of the consistency term", "一致性项的权重"),
        f"{_MAIN}_alpha",
        by_value("rdrop.alpha", ("alpha", "alpha"), base=1.0),
        (("alpha 1", "alpha 1"),),
        ("alpha", "alpha"),
        band=True,
    ),
    Table(
        f"{_MAIN}_copies",
        ("Copies of an image", "一张图像的副本数"),
        f"{_MAIN}_copies",
        by_value("rdrop.copies", ("m =", "m ="), base=2),
        (("m = 2", "m = 2"),),
        ("copies m", "副本数 m"),
        band=True,
    ),
    Table(
        f"{_MAIN}_every",
        ("R-Drop on every k-th step", "每 k 步做一次 R-Drop"),
        f"{_MAIN}_every",
        by_value("rdrop.every_steps", ("k =", "k ="), base=1),
        (("k = 1", "k = 1"),),
        ("k (steps)", "k（步）"),
        band=True,
    ),
    Table(
        f"{_MAIN}_shared_blocks",
        ("Shared blocks", "共享块"),
        f"{_MAIN}_shared_blocks",
        by_value("rdrop.shared_blocks", ("shared blocks:", "共享块："), base=0),
        (("no shared block", "不共享"),),
        ("leading blocks that the copies share", "副本共享的前几个块"),
        band=True,
    ),
    Table(
        f"{_MAIN}_consistency",
        ("Measures of consistency", "一致性度量"),
        f"{_MAIN}_consistency",
        by_value("rdrop.consistency", ("measure", "度量"), "symmetric_kl", "`{}`".format),
        (("`symmetric_kl`", "`symmetric_kl`"),),
        ("measure", "度量"),
    ),
)
