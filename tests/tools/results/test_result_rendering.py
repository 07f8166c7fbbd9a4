"""Tables from lines: figures worked out by hand, settings that are not mixed, both languages."""

from __future__ import annotations

import pytest
import twin_pages
from made_lines import made_line, main_table_lines

from common.errors import UserError
from tools.results import described, rendering
from tools.results.settings import Row, Table, by_value, settings_of, value

_MAIN = described.TABLES[0]


def _cells(block: str, name: str) -> list[str]:
    (row,) = [line for line in block.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def _main(language: str = "en") -> str:
    return rendering.block(_MAIN, settings_of(_MAIN, main_table_lines()), language)


def test_figures_of_a_row():
    cells = _cells(_main(), "10 labels a class, R-Drop")
    # 62.01, 64.01, 66.01 against 61.01, 62.01, 63.01: gains 1, 2, 3; t(0.975, 2) = 4.3027,
    # so 2 +- 4.3027 / sqrt(3), and p = 0.0742 of t = 3.4641
    assert cells[1:4] == ["3", "64.01 +- 2.00", "+2.00 [-0.48, +4.48], p=0.074"]
    # against 70.01, 65.01, 63.01: gains -8, -1, 3
    assert cells[4] == "-2.00 [-15.83, +11.83], p=0.6"
    assert cells[5:] == ["1.25 +- 0.00", "5.00 +- 0.00", "6,016", "120", "62.01 64.01 66.01"]
    assert _cells(_main(), "10 labels a class, cross-entropy, same steps")[3:5] == ["–", "–"]


def test_differences_are_of_the_seeds_that_both_have():
    lines = [one for one in main_table_lines() if (one["row"], one["seed"]) != ("ce_10", 1)]
    block = rendering.block(_MAIN, settings_of(_MAIN, lines), "en")
    assert _cells(block, "10 labels a class, R-Drop")[3].startswith("+2.00 [-10.71, +14.71]")
    assert _cells(block, "10 labels a class, R-Drop")[3].endswith(", n=2")
    none = [one for one in main_table_lines() if one["row"] != "ce_10"]
    block = rendering.block(_MAIN, settings_of(_MAIN, none), "en")
    assert _cells(block, "10 labels a class, R-Drop")[3] == "–"


def test_other_test_images_are_not_compared():
    lines = main_table_lines()
    for line in lines:
        line["test_images_sha256"] = "01" if line["row"] == "ce_10" else "02"
    with pytest.raises(UserError, match="rdrop_10 and .* ce_10 were tested on other"):
        rendering.block(_MAIN, settings_of(_MAIN, lines), "en")


def test_what_was_not_run_is_said():
    assert rendering.block(_MAIN, settings_of(_MAIN, []), "en") == f"{_MAIN.title[0]}: not run yet."
    block = _main()
    assert "Not run yet: 50 labels a class, R-Drop; 50 labels a class, cross-entropy" in block
    assert "200 labels a class, cross-entropy, same passes." in block


def test_a_loss_that_is_missing_is_no_number():
    lines = main_table_lines()
    lines[0]["test_loss"] = None
    block = rendering.block(_MAIN, settings_of(_MAIN, lines), "en")
    assert _cells(block, "10 labels a class, R-Drop")[5] == "–"


def test_the_caption_says_where_the_runs_were_made():
    block = _main()
    assert (
        "Test images: 2,000. Machine: Some Processor, Linux x86_64, 2 cores, threads a run: 1."
        in block
    )
    assert "Versions: paddlepaddle 3.3.1, python 3.11.7. Commits: `01234567`." in block
    assert "[`docs/results/cifar10_vit_s_14.jsonl`](results/cifar10_vit_s_14.jsonl)" in block
    assert "(../results/cifar10_vit_s_14.jsonl)" in _main("zh")


def test_a_commit_whose_files_were_changed_is_told():
    lines = main_table_lines()
    lines[0]["git_commit"] = "fedcba9876543210+"
    block = rendering.block(_MAIN, settings_of(_MAIN, lines), "en")
    assert "Commits: `01234567`; `fedcba98+`." in block


def test_both_languages_have_the_same_figures():
    english, chinese = (twin_pages.sections(_main(one))[0] for one in ("en", "zh"))
    assert english.shape() == chinese.shape()
    assert english.numbers() == chinese.numbers()
    assert english.spans() == chinese.spans()
    assert len(english.shape()[0]) == 8  # a head, a rule, six rows


def _alpha(alpha: float, seed: int, top1: float, **more) -> dict:
    fields = {"rdrop.alpha": alpha, **more}
    return made_line("", seed, top1, setting=f"a alpha={alpha}", fields=fields)


def test_rows_by_the_values_of_a_field():
    rows = by_value("rdrop.alpha", ("alpha", "权重"), base=1.0)
    table = Table("a", ("A", "甲"), "a", rows, (("alpha 1", "alpha 1"),), ("x", "x"), band=True)
    lines = [_alpha(10.0, 0, 0.5), _alpha(0.3, 0, 0.6), _alpha(1.0, 0, 0.4)]
    settings = settings_of(table, lines)
    assert [one.row.name[0] for one in settings] == ["alpha 0.3", "alpha 1", "alpha 10"]
    assert [one.row.x for one in settings] == [0.3, 1.0, 10.0]
    block = rendering.block(table, settings, "en")
    assert _cells(block, "alpha 0.3")[2:4] == ["60.00", "+20.00"]
    assert _cells(block, "alpha 1 ")[3] == "–"


def test_settings_are_not_mixed():
    table = Table("a", ("A", "甲"), "a", [Row("all", ("", ""), {"rdrop.alpha": 3.0})], (), ("", ""))
    with pytest.raises(UserError, match=r"the row all of the table a has lines of 2 settings"):
        settings_of(table, [_alpha(3.0, 0, 0.5), _alpha(3.0, 0, 0.5) | {"setting": "another"}])


def test_what_a_row_selects_by():
    line = made_line("ce_10", 0, 0.5, fields={"rdrop.drop_rates": [0.1, 0.2]})
    assert value(line, "config") == "cifar10_vit_s_14"
    assert value(line, "rdrop.drop_rates") == (0.1, 0.2)
    assert value(line, "rdrop.every_steps") == 1  # the default's
    with pytest.raises(UserError, match=r"rdrop\.every is no field"):
        value(line, "rdrop.every")


def test_descriptions_fit_together():
    names = [table.name for table in described.TABLES]
    assert len(set(names)) == len(names)
    rows = list(_MAIN.rows)
    keys = {row.key for row in rows}
    assert len(keys) == len(rows)
    assert {key for row in rows for key in row.against} <= keys
    assert {len(row.against) for row in rows} == {0, len(_MAIN.baselines)}


def test_a_table_of_noise():
    noise = next(table for table in described.TABLES if table.name.endswith("_noise"))
    fields = {
        "weak": {"model.attn_drop_rate": 0.1},
        "strong": {"model.drop_rate": 0.1, "model.mlp_drop_rate": 0.2},
        "none": {},
    }
    survival = {"weak": 0.9, "strong": 0.15, "none": 1.0}
    lines = [
        made_line(
            f"{name} {copies}",
            0,
            top1,
            fields={**fields[name], "rdrop.copies": copies},
            survival=survival[name],
        )
        for name, copies, top1 in (
            *(("weak", 1, 0.6), ("weak", 2, 0.65), ("strong", 2, 0.3)),
            *(("strong", 1, 0.25), ("none", 1, 0.7)),
        )
    ]
    settings = settings_of(noise, lines)
    block = rendering.block(noise, settings, "en")
    rows = [line for line in block.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0][2:] for row in rows[2:]] == [
        "no noise, cross-entropy",
        "dropout of attention 0.1, cross-entropy",
        "dropout of attention 0.1, R-Drop",
        "dropout everywhere 0.1 + dropout in the MLP 0.2, cross-entropy",
        "dropout everywhere 0.1 + dropout in the MLP 0.2, R-Drop",
    ]
    cells = _cells(block, "dropout of attention 0.1, R-Drop")
    assert [cell.split()[0] for cell in cells[3:5]] == ["+5.00", "-5.00"]
    assert "0.90" in cells
    assert _cells(block, "no noise, cross-entropy")[3:5] == ["–", "–"]
    assert [one.row.x for one in settings] == [1.0, 1.0, 0.9, 0.9, 0.15, 0.15]


def test_a_table_of_wrong_labels():
    (wrong,) = [table for table in described.TABLES if table.name.endswith("_wrong_labels")]
    lines = [
        made_line(
            f"{share} {copies}",
            0,
            0.7 - share / copies,
            fields={"data.label_noise": share, "rdrop.copies": copies},
        )
        for share in (0.4, 0.2)
        for copies in (2, 1)
    ]
    block = rendering.block(wrong, settings_of(wrong, lines), "en")
    assert _cells(block, "20% wrong labels, R-Drop")[3].startswith("+10.00")
    assert _cells(block, "40% wrong labels, R-Drop")[3].startswith("+20.00")
    assert _cells(block, "40% wrong labels, cross-entropy")[3] == "–"
