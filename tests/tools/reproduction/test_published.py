"""The figures: those of the README, of the ablation and of the tricks, with value and source."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from data.sets import cifar
from data.sets.registry import DATASETS
from program.config import config_files
from tools.reproduction.published import costs, figures
from tools.reproduction.published.datasets import DATA_SETS

_FIGURES = figures.FIGURES
_SWIN = "tiny_imagenet_swin_l_384"
_NO_FIGURE = {"cifar100_vit_b_fixres"}  # its docstring: nothing is published for these models


def _section(page: str, title: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _docstring(config: str) -> str:
    return (ROOT / "configs" / f"{config}.py").read_text(encoding="utf-8").split('"""')[1]


def _of(config: str) -> list[float]:
    """The values of a config's figures."""
    found = [figure for figure in _FIGURES.values() if figure.config == config]
    values = [one.published.value for one in found]
    return [one for one in values if one is not None]


def test_the_table_of_the_readme():
    """Each of its configs is a figure, with the values of its row."""
    rows = [
        line
        for line in _section("README.md", "Published results, and the config of each").splitlines()
        if "configs/" in line
    ]
    assert len(rows) == 8
    for row in rows:
        configs, cells = re.findall(r"configs/(\w+)\.py", row), row.split("|")
        values = [float(one) for one in re.findall(r"\d\d\.\d+", cells[3])]
        found = [value for config in configs for value in _of(config)]
        assert all(config in _FIGURES for config in configs)
        in_paddle = 93.48  # a reproduction in Paddle, of which no page is at hand
        assert [one for one in values if one not in (*found, in_paddle)] == []


def test_the_first_table_of_the_readme():
    values = re.findall(r"(\d\d\.\d\d) \+- (\d\.\d\d)", _section("README.md", "Results"))
    found = {
        (f"{one.published.value:.2f}", f"{one.published.deviation:.2f}")
        for one in _FIGURES.values()
        if one.data == "digits"
    }
    assert found == set(values)


def test_the_ablation_and_the_optimisers():
    """Each row with a value in the config's docstring is a figure of that value."""
    text = " ".join(_docstring(_SWIN).split())
    values = dict(re.findall(r"(\w+) (9\d\.\d+)", text.split("by row:")[1].split("Batches")[0]))
    assert len(values) == 12
    for row, value in values.items():
        figure = _FIGURES[f"{_SWIN}_{row}"]
        assert (figure.row, figure.published.value) == (row, float(value))
    rows = config_files.load_table(f"configs/{_SWIN}.py", "get_rows")
    ours = {"rdrop", "finetune", "finetune_rdrop"}  # rows that nobody has published
    assert {f"{_SWIN}_{row}" for row in rows if row not in ours} <= _FIGURES.keys()


def test_the_page_of_recipes():
    """Each config of a published run is the config of a figure."""
    configs = set(re.findall(r"configs/(\w+)\.py", _section("docs/recipes.md", "Published runs")))
    used = {figure.config for figure in _FIGURES.values()}
    assert configs - used == _NO_FIGURE


def test_the_tricks():
    names = (
        *("imagenet_resnet_50_large_batch", "imagenet_resnet_50_large_batch_no_warmup"),
        *("imagenet_resnet_50_batch_256", "imagenet_resnet_50_fixres_384"),
        "imagenet_deit_ti_distilled",
    )
    assert all(_FIGURES[name].published.value for name in names)
    errors = {"": (23.74, 0.09), "no_warmup": (24.84, 0.37), "batch_256": (23.60, 0.12)}
    for figure in (_FIGURES[name] for name in names[:3]):
        error, deviation = errors[figure.row]
        assert figure.published.value == pytest.approx(100 - error)
        assert figure.published.deviation == deviation


@pytest.mark.parametrize("name", _FIGURES)
def test_each_figure_is_whole(name):
    figure = _FIGURES[name]
    assert figure.published.source
    assert figure.set_up
    assert figure.data in DATA_SETS
    stages = costs.stages(figure)  # config, row and fields exist
    assert all(config.data.name == figure.data for config in stages.values())
    cost = costs.cost(figure)
    assert cost.flops > 0
    assert cost.kept > 0
    for config in stages.values():
        given = config.train.reference_batch_size
        scaled = config.optim.scale_lr
        assert scaled or given in (0, costs.global_batch(figure)), "the batch of the rate"


@pytest.mark.parametrize("name", [name for name in _FIGURES if _FIGURES[name].data != "digits"])
def test_the_docstring_of_its_config_has_the_value(name):
    figure = _FIGURES[name]
    if figure.published.value is None:
        pytest.skip("no value is published")
    if figure.row != "cross_entropy" or figure.config.startswith(("cifar", "imagenet")):
        value = f"{figure.published.value:.{figure.published.digits}f}"
        assert value in _docstring(figure.config)


def test_the_data_sets_are_those_of_the_registry():
    for name, data in DATA_SETS.items():
        entry = DATASETS[name]
        assert (entry.train_images, entry.num_classes) == (data.train_images, data.classes)
        assert data.bytes == sum(file.bytes for file in data.files)
    assert DATA_SETS["cifar100"].files[0].md5 == cifar.CIFAR100.md5


def test_hours_by_hand():
    """ViT-B/16: 10,000 steps of 512 images, twice each; validations and a test in addition."""
    cost = costs.cost(_FIGURES["cifar100_vit_b_384"])
    steps = 10_000 * 512 * 2 * 3 * 2 * 55_484_350_464
    evaluations = (20 * 1_000 + 10_000) * 2 * 55_484_350_464
    assert cost.steps == 10_000
    assert cost.flops == pytest.approx(steps + evaluations)
    assert cost.hours("V100") == pytest.approx((steps + evaluations) / (0.6 * 15.7e12) / 3600)
    assert cost.hours("V100", 4) == pytest.approx(cost.hours("V100") / 4 / 0.9)
    assert cost.hours("H100", half=True) < cost.hours("H100") < cost.hours("V100")


def test_what_costs_more():
    cost = {name: costs.cost(figure) for name, figure in _FIGURES.items()}
    plain, twice = (cost[f"cifar100_vit_b_384{end}"].flops for end in ("_cross_entropy", ""))
    assert twice == pytest.approx(2 * plain, rel=0.01)
    assert cost[f"{_SWIN}_ema"].kept > cost[_SWIN].kept  # the average is kept, too
    assert cost["cifar100_deit_b_distilled_384"].steps == pytest.approx(
        sum((20 * 1_000, 5 * 49_000, 10 * 49_000, 10 * 49_000)) / 512, abs=3
    )


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(*key, marks=() if key[0] in ("vit_n_2", "resnet_50") else pytest.mark.slow)
        for key in costs.MODELS
    ],
)
def test_the_multiply_adds_are_those_that_are_counted(name, size):
    import models
    from models import flops

    model = models.create(name, num_classes=10 if name == "vit_n_2" else 1_000, image_size=size)
    counted = flops.parameters(model), flops.cost(model, size).multiply_adds
    assert costs.MODELS[name, size] == counted


def test_unknown_names_get_the_nearest():
    from common.errors import UserError

    with pytest.raises(UserError, match="did you mean 'cifar100_vit_b_384'"):
        figures.find("cifar100_vit_b")
