"""The tables of docs/results.md: which experiment, which rows, what they are compared with.

To add one: a `Table` here, its markers in docs/results.md and docs/cn/results.md, and lines in
docs/results/EXPERIMENT.jsonl (tools.sweep --lines). Then `make results-tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from tools.results.lines import Line
from tools.results.settings import Row, Table, Text, by_value, value

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


# What the table of survival calls the fields of noise.
_NOISE: dict[str, Text] = {
    "model.drop_rate": ("dropout everywhere", "所有位置的随机失活"),
    "model.mlp_drop_rate": ("dropout in the MLP", "MLP 内的随机失活"),
    "model.attn_drop_rate": ("dropout of attention", "注意力的随机失活"),
    "model.drop_path_rate": ("stochastic depth", "随机深度"),
}
_NONE: Text = ("no noise", "无噪声")
_COPIES: dict[int, Text] = {1: ("cross-entropy", "交叉熵"), 2: ("R-Drop", "R-Drop")}


def _by_noise(lines: Sequence[Line]) -> list[Row]:
    """Returns two rows for each noise that the lines have: cross-entropy, and R-Drop."""
    survived: dict[tuple[float, ...], list[float]] = {}
    for line in lines:
        if line.get("survival") is not None:
            rates = tuple(value(line, name) for name in _NOISE)
            survived.setdefault(rates, []).append(line["survival"])
    ordered = sorted(survived, key=lambda rates: -mean(survived[rates]))
    without = next((rates for rates in ordered if not _noise(rates, 0)), None)
    rows = []
    for rates in ordered:
        name = tuple(_noise(rates, place) or _NONE[place] for place in (0, 1))
        x = round(mean(survived[rates]), 3)
        rows += _pair(str(rates), name, dict(zip(_NOISE, rates)), x, f"{without} 1")
    return rows


def _by_wrong_labels(lines: Sequence[Line]) -> list[Row]:
    """Returns two rows for each share of wrong labels: cross-entropy, and R-Drop."""
    field, rows = "data.label_noise", []
    for share in sorted({value(line, field) for line in lines}):
        name = (f"{share:.0%} wrong labels", f"{share:.0%} 错误标签")
        rows += _pair(f"{share:g}", name, {field: share}, 100 * share)
    return rows


def _pair(key: str, name: Text, fields: dict[str, float], x: float, *bases: str) -> list[Row]:
    """Returns the row of cross-entropy, and that of R-Drop, which is also compared with it.

    Args:
        key: of both rows, in front of the number of copies.
        name: of what both have in common.
        fields: which their lines have.
        x: their place in the picture.
        bases: keys of rows that both are compared with.
    """
    own, separators, rows = f"{key} 1", (", ", "，"), []
    for copies, method in _COPIES.items():
        texts = zip(name, separators, method)
        against = (own if copies > 1 else "", *bases)
        rows.append(
            Row(
                f"{key} {copies}",
                tuple("".join(parts) for parts in texts),
                {**fields, "rdrop.copies": copies},
                tuple("" if base == f"{key} {copies}" else base for base in against),
                line=method,
                x=x,
            )
        )
    return rows


def _noise(rates: Sequence[float], place: int) -> str:
    """Returns the names of noises with their rates; a negative one follows another."""
    named = zip(_NOISE.values(), rates)
    return " + ".join(f"{name[place]} {rate:g}" for name, rate in named if rate > 0)


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
        f"{_MAIN}_noise",
        ("What survives the noise, and the accuracy", "噪声下的留存度与精度"),
        f"{_MAIN}_noise",
        _by_noise,
        (
            ("the same noise, cross-entropy", "相同噪声，交叉熵"),
            ("no noise, cross-entropy", "无噪声，交叉熵"),
        ),
        ("survives before the first step (1: all)", "第一步之前的留存度（1：全部）"),
        band=True,
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
    Table(
        f"{_MAIN}_stop_gradient",
        ("Gradient of the target", "目标的梯度"),
        f"{_MAIN}_stop_gradient",
        by_value("rdrop.stop_gradient", ("stop-gradient:", "停止梯度："), False, str),
        (("with the gradient", "保留梯度"),),
        ("stop-gradient", "停止梯度"),
    ),
    Table(
        f"{_MAIN}_wrong_labels",
        ("Wrong labels", "错误标签"),
        f"{_MAIN}_wrong_labels",
        _by_wrong_labels,
        (("cross-entropy, the same labels", "相同标签，交叉熵"),),
        ("wrong training labels (%)", "错误的训练标签（%）"),
        band=True,
    ),
)
