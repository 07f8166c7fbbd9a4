"""Whole pages: what is on them for one run, for several, and where something is missing."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from measures import confusion, paired
from measures.intervals import wilson
from report import looks, make, runs, tables
from report.charts.model import Chart, Series
from report.pictures import Gallery
from report.sections import calibration, classes, comparisons, noise, several
from report.texts import Words

_WORDS = Words()


def _charts(made) -> dict:
    return {one.key: one for section in made.sections for one in section.charts()}


def test_one_run(small_run):
    made = make.content([small_run], _WORDS)
    charts = _charts(made)
    assert charts.keys() >= {
        *("curve_ce", "curve_kl", "curve_accuracy", "curve_lr", "curve_grad_norm"),
        *("accuracy_of_classes", "confusion", "reliability", "pass_kl", "pass_spread"),
    }
    text = " ".join(part for one in made.sections for part in one.parts if isinstance(part, str))
    low, high = wilson(round(15 * small_run.result["top1"]), 15)
    assert f"{100 * low:.2f} to {100 * high:.2f} % (95 %), n = 15" in text
    assert sum(map(sum, charts["confusion"].counts)) == 15
    assert "<b>&cat" not in text
    assert "&lt;b&gt;&amp;cat" in text
    json.dumps(made.numbers(), allow_nan=False)


def test_pictures_behind_cells(small_run, small_look):
    gallery = Gallery()
    section = classes.matrix_section(
        small_look.test, small_look.classifier.classes, _WORDS, gallery
    )
    counts = section.charts()[0].counts
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            assert len(gallery.cells.get(f"{row},{column}", ())) == count  # at most 8; here 5
    assert len(gallery.pictures) == 15


def test_a_thousand_classes(small_look):
    """The matrix has the 30 most confused classes; the names of bars are left out."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(15, 1000)).astype(np.float32)
    part = small_look.test._replace(logits=logits, labels=rng.integers(0, 1000, 15))
    names = tuple(f"class {number}" for number in range(1000))
    gallery = Gallery()
    section = classes.matrix_section(part, names, _WORDS, gallery)
    assert len(section.charts()[0].names) == 30
    matrix = confusion.counts(part.labels, part.predicted, 1000)
    assert set(np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))) >= {
        int(name.split()[1]) for name in section.charts()[0].names
    } - set(range(30))
    assert len(classes.section(part, names, _WORDS).charts()[0].series[0].x) <= 15


@pytest.mark.parametrize("count", [1, 2])
def test_few_test_images(small_run, count):
    made = make.content([small_run], _WORDS, images=count)
    assert sum(map(sum, _charts(made)["confusion"].counts)) == count


def test_temperature_by_halves(small_look):
    """Without validation images, no image is scaled by a temperature that it was used for."""
    test = small_look.test
    alone = small_look._replace(val=None)
    text = calibration.section(alone, _WORDS).parts[0]
    assert "each half" in text
    scaled, both = calibration._cross_fitted(test.logits, test.labels)
    ratio = (test.logits / scaled).mean(axis=1)
    temperatures = np.unique(both)
    assert len(temperatures) <= 2
    nearest = np.abs(ratio[:, None] / temperatures - 1).min(axis=1)  # images x temperatures
    assert nearest.max() < 1e-4


def test_several_runs(small_runs):
    found = runs.read_all(small_runs.folders.values())
    made = make.content(found, _WORDS)
    charts = _charts(made)
    overlay = charts["overlay_val"]
    assert [one.name for one in overlay.series] == ["R-Drop (n=2)", "cross-entropy (n=2)"]
    values = [one.points("val", "top1")[0][2] for one in found[:2]]
    assert overlay.series[0].y[0] == pytest.approx(np.mean(values))
    half = np.std(values, ddof=1)
    assert overlay.series[0].high[0] - overlay.series[0].y[0] == pytest.approx(half)
    kl = charts["overlay_kl"].series
    assert [bool(one.x) for one in kl] == [True, False]  # cross-entropy has none, and its colour
    text = " ".join(part for one in made.sections for part in one.parts if isinstance(part, str))
    assert "paired t-test" in text
    assert "McNemar" in text
    assert "\\begin{tabular}" in text
    assert [one.name for one in charts["pass_kl"].series] == [
        "R-Drop, seed 0",
        "cross-entropy, seed 0",
    ]


def test_differences(small_runs, small_look):
    groups = runs.grouped(runs.read_all(small_runs.folders.values()))
    other = groups[1].runs[0]
    seen = {str(groups[0].runs[0].folder): small_look, str(other.folder): looks.look(other)}
    found = comparisons.differences(groups, seen)
    results = [[run.result["top1"] for run in group.runs] for group in groups]
    assert found[0] == []
    assert [one.method for one in found[1]] == ["t", "mcnemar"]
    assert found[1][0].mean == pytest.approx(np.mean(results[1]) - np.mean(results[0]))
    assert found[1][1].mean == pytest.approx(results[1][0] - results[0][0])
    alone = [group._replace(runs=group.runs[:1]) for group in groups]
    assert comparisons.differences(alone, {}) == [[], []]
    assert tables.described([]) == "–"


@pytest.mark.parametrize(
    ("low", "high", "reading"),
    [(0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-1, 1, "not settled")],
)
def test_reading_of_a_difference(small_runs, low, high, reading):
    groups = runs.grouped(runs.read_all(small_runs.folders.values()))
    found = [[], [paired.Difference(0.1, low, high, 0.01, 5, "t")]]
    assert reading in comparisons.section(groups, found, _WORDS).parts[1]


def test_without_noise(small_look):
    section = noise.section([noise.Named("a", "rdrop", small_look._replace(noisy=None))], _WORDS)
    assert not section.charts()


def test_a_run_that_goes_on(small_runs, tmp_path):
    """No result, no weights, and in the very beginning no records."""
    shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")
    for name in ("result.json", "weights.safetensors", "environment.json"):
        (tmp_path / "run" / name).unlink()
    made = make.content(runs.read_all([tmp_path / "run"]), _WORDS)
    assert "curve_ce" in _charts(made)
    assert "confusion" not in _charts(made)
    assert "not finished: 20 steps" in made.sections[0].parts[0]
    (tmp_path / "run" / "metrics.jsonl").unlink()
    made = make.content(runs.read_all([tmp_path / "run"]), Words("zh"))
    assert not _charts(made)
    both = runs.read_all([tmp_path / "run", small_runs.folders["ce_0"]])
    assert _charts(make.content(both, _WORDS))


def test_missing_data(small_runs, tmp_path, capsys):
    shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")
    found = runs.read_all([tmp_path / "run"])[0]
    found.config.unlock()
    found.config.data.root = str(tmp_path / "gone")
    made = make.content([found], _WORDS)
    assert "No pictures" in made.sections[0].parts[0]
    assert "gone" in made.sections[0].parts[0]
    assert capsys.readouterr().err.count("\n") == 1


def test_other_classes(small_runs, tmp_path):
    shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "other")
    path = tmp_path / "other" / "result.json"
    result = json.loads(path.read_text())
    result["data"]["test"]["classes"][0] = "<i>another"
    path.write_text(json.dumps(result))
    found = runs.read_all([small_runs.folders["ce_0"], tmp_path / "other"])
    made = make.content(found, _WORDS)
    assert re.search(r"other classes than seed_0: other\.", made.sections[0].parts[0])


def test_what_a_page_says_first(small_runs):
    """One run: model, method, and how many are right. Several: the best one, and what differs."""
    found = runs.read_all([small_runs.folders["rdrop_0"]])
    said = make.content(found, _WORDS).sections[0].parts[0]
    assert "trained with R-Drop (alpha " in said
    assert re.search(r"\d+ of 15 test images are right", said)
    said = " ".join(
        map(str, make.content(runs.read_all(small_runs.folders.values()), _WORDS).sections[0].parts)
    )
    rows = several.rows_of(runs.grouped(runs.read_all(small_runs.folders.values())))
    best = max(rows, key=lambda row: row.mean)
    assert f"Highest test top-1: {best.name}, {best.mean:.2f} ± " in said
    assert "95 % interval" not in said  # that of a single run has no place where all have seeds


def test_more_than_one_field_differs(small_runs):
    """A difference is not put down to one of several fields."""
    groups = runs.grouped(runs.read_all(small_runs.folders.values()))
    assert "more than one field" not in str(several.table_section(groups, _WORDS, []).parts)
    groups = [group._replace(differs={"model.drop_rate": 1, "rdrop.copies": 2}) for group in groups]
    said = str(several.table_section(groups, _WORDS, []).parts)
    assert "more than one field (model.drop_rate, rdrop.copies)" in said


def test_pages_without_rdrop_do_not_speak_of_it(small_runs):
    found = [run for run in runs.read_all(small_runs.folders.values()) if not run.with_rdrop]
    made = make.content(found, _WORDS)
    titles = [section.title for section in made.sections]
    assert "What dropout changes" in titles
    text = " ".join(part for one in made.sections for part in one.parts if isinstance(part, str))
    assert "R-Drop" not in text


def test_an_axis_is_logarithmic_over_more_than_a_decade():
    chart = Chart("k", "t", "x", "y", (Series("a", (1, 2), (0.2, 1.9)),), log_y=True)
    assert not chart.is_log
    assert chart._replace(series=(Series("a", (1, 2), (0.2, 2.1)),)).is_log
    assert not chart._replace(series=(Series("a", (1, 2), (0.0, 2.1)),)).is_log


def test_no_test_images(small_runs, tmp_path):
    """The page says so, does not take others, and shows the rest."""
    shutil.copytree(small_runs.data, tmp_path / "data")
    shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")
    for image in (tmp_path / "data" / "test").rglob("*.png"):
        image.unlink()
    run = runs.read_all([tmp_path / "run"])[0]
    run.config.unlock()
    run.config.data.root = str(tmp_path / "data")
    run.result.pop("data")  # a result that does not say which images it is of
    made = make.content([run], _WORDS)
    assert "test: no images" in str(made.sections[0].parts)
    assert "curve_ce" in _charts(made)
    assert "confusion" not in _charts(made)


def test_one_test_image(small_runs):
    made = make.content(runs.read_all([small_runs.folders["rdrop_0"]]), _WORDS, images=1)
    assert "1 of the 15 test images" in str(made.sections[0].parts)
    assert sum(map(sum, _charts(made)["confusion"].counts)) == 1
