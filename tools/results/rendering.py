"""A table as Markdown, in English and Chinese, from the lines of its experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from common.errors import UserError
from measures.paired import Difference, same_seeds
from report.tables import described, markdown, spread
from tools.results.commands import sweeps
from tools.results.lines import Line
from tools.results.settings import Setting, Table, Text

LANGUAGES = ("en", "zh")
_TEXTS: dict[str, Text] = {
    "setting": ("setting", "设置"),
    "n": ("n", "n"),
    "top1": ("test top-1", "测试 top-1"),
    "loss": ("test loss", "测试损失"),
    "ece": ("test ECE", "测试 ECE"),
    "against": ("against {name}", "与“{name}”相比"),
    "survival": ("survives", "留存度"),
    "passes": ("passes", "前向次数"),
    "seconds": ("seconds", "秒"),
    "each": ("each seed's test top-1", "每个种子的测试 top-1"),
    "not_run": ("{title}: not run yet.", "{title}：尚未运行。"),
    "missing": ("Not run yet: {names}.", "尚未运行：{names}。"),
    "between": ("; ", "；"),
    "caption": (
        "Test images: {images}. Machine: {machine}. Versions: {versions}. Commits: {commits}. "
        "Raw results, with the command of each run: {link}.",
        "测试图像：{images}。机器：{machine}。版本：{versions}。提交：{commits}。每次训练的原始结果及其命令：{link}。",
    ),
    "threads": ("threads a run: {threads}", "每次训练的线程数：{threads}"),
    "not_known": ("not known", "未知"),
    "note": (
        "Differences are in points, paired by seed, with the 95 % interval and p of a t-test. n is "
        "the number of seeds; passes are images through the model in training, each copy counted.",
        "差值以百分点计，按种子配对，附 95% 区间与 t 检验的 p 值。n 为种子数；"
        "前向次数为训练中通过模型的图像数，每个副本各计一次。",
    ),
}


def block(table: Table, settings: Sequence[Setting], language: str) -> str:
    """Returns what a page has between the markers of a table.

    Args:
        table: its description.
        settings: its rows.
        language: one of `LANGUAGES`.
    """
    place = LANGUAGES.index(language)
    run = [one for one in settings if one.lines]
    if not run:
        return _say("not_run", place, title=table.title[place])
    title, up = table.title[place], "../" * place
    lines = [line for one in run for line in one.lines]
    parts = [
        f"**{title}**",
        "\n".join(["```bash", *sweeps(table.experiment, lines), "```"]),
        f"![{title}]({up}images/{table.name}.png)",
        markdown(*_cells(table, run, place)),
        *_missing(settings, place),
        _say("note", place),
        _caption(table.experiment, lines, place),
    ]
    return "\n\n".join(parts)


def _say(key: str, place: int, **values: object) -> str:
    return _TEXTS[key][place].format(**values)


def _cells(table: Table, run: Sequence[Setting], place: int) -> tuple[list[str], list[list[str]]]:
    """Returns the heads and the rows of a table."""
    columns: dict[str, Callable[[Setting], str]] = {
        _say("setting", place): lambda one: one.row.name[place],
        _say("n", place): lambda one: str(len(one.lines)),
        _say("top1", place): lambda one: _spread(one, "test_top1", 100),
    }
    for number, name in enumerate(table.baselines):
        columns[_say("against", place, name=name[place])] = _against(run, number)
    if not all(np.isnan(one.values("survival")).all() for one in run):
        columns[_say("survival", place)] = lambda one: _spread(one, "survival", 1)
    columns |= {
        _say("loss", place): lambda one: _spread(one, "test_loss", 1),
        _say("ece", place): lambda one: _spread(one, "test_ece", 100),
        _say("passes", place): lambda one: f"{np.mean(one.values('passes')):,.0f}",
        _say("seconds", place): lambda one: f"{np.mean(one.values('seconds')):,.0f}",
        _say("each", place): lambda one: " ".join(
            f"{100 * value:.2f}" for value in one.values("test_top1")
        ),
    }
    return list(columns), [[column(one) for column in columns.values()] for one in run]


def _spread(one: Setting, name: str, scale: float) -> str:
    values = scale * np.array(one.values(name))
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return spread(float(np.mean(values)), deviation, "+-")


def _against(run: Sequence[Setting], number: int) -> Callable[[Setting], str]:
    """Returns the column of the differences to one of the baselines."""
    by_key = {one.row.key: one for one in run}

    def cell(one: Setting) -> str:
        if len(one.row.against) <= number or one.row.against[number] not in by_key:
            return "–"
        found = difference(one, by_key[one.row.against[number]])
        fewer = found.pairs < len(one.lines)
        return described([found] if found.pairs else []) + (f", n={found.pairs}" if fewer else "")

    return cell


def difference(one: Setting, base: Setting) -> Difference:
    """Returns the paired difference of test top-1 over the seeds that both have.

    Raises:
        UserError: when their test images differ.
    """
    if len({line["test_images_sha256"] for line in (*one.lines, *base.lines)}) > 1:
        raise UserError(
            f"{one.lines[0]['setting']} and {base.lines[0]['setting']} were tested on other images "
            "each, so their difference means nothing; run one of them again"
        )
    own, other = one.by_seed("test_top1"), base.by_seed("test_top1")
    seeds = sorted(own.keys() & other.keys())
    return same_seeds(*(np.array([each[seed] for seed in seeds]) for each in (own, other)))


def _missing(settings: Sequence[Setting], place: int) -> list[str]:
    names = [one.row.name[place] for one in settings if not one.lines]
    return [_say("missing", place, names=_say("between", place).join(names))] if names else []


def _caption(experiment: str, lines: Sequence[Line], place: int) -> str:
    """Returns where the runs were made, and where their lines are."""

    def distinct(texts: Sequence[str]) -> str:
        return _say("between", place).join(sorted({one for one in texts if one})) or unknown

    unknown = _say("not_known", place)
    file = f"results/{experiment}.jsonl"
    return _say(
        "caption",
        place,
        images=distinct([f"{line['test_images']:,}" for line in lines]),
        machine=distinct([_machine(line, place) for line in lines]),
        versions=distinct([_versions(line) for line in lines]),
        commits=distinct([_commit(line) for line in lines]),
        link=f"[`docs/{file}`]({'../' * place}{file})",
    )


def _machine(line: Line, place: int) -> str:
    threads = line.get("threads")
    shown = _say("threads", place, threads=threads) if threads else ""
    return ", ".join(filter(None, [line.get("processor"), line.get("machine"), shown]))


def _commit(line: Line) -> str:
    """Returns the short commit; + says that files differed from it."""
    commit = line["git_commit"]
    return f"`{commit[:8]}{'+' * commit.endswith('+')}`" if commit else ""


def _versions(line: Line) -> str:
    versions = line["versions"]
    names = (name for name in ("paddlepaddle", "paddlepaddle-gpu", "python") if versions.get(name))
    return ", ".join(f"{name} {versions[name]}" for name in names)
