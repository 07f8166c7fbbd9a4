"""Pictures of tables: what they show, in greys, in a small file that says what it shows."""

from __future__ import annotations

import numpy as np
import pytest
from made_lines import made_line, main_table_lines
from PIL import Image

from tools.results import described, pictures
from tools.results.settings import Table, by_value, settings_of

_MAIN = described.TABLES[0]
_ALPHA = Table(
    "alpha",
    ("Weight", "权重"),
    "a",
    by_value("rdrop.alpha", ("alpha", "alpha"), base=1.0),
    (),
    ("alpha", "alpha"),
    band=True,
)


def _main(lines=None) -> pictures.Picture:
    return pictures.picture(_MAIN, settings_of(_MAIN, lines or main_table_lines()))


def _alpha() -> pictures.Picture:
    lines = [
        made_line("", seed, top1 + seed / 100, setting=f"{alpha}", fields={"rdrop.alpha": alpha})
        for alpha, top1 in ((30.0, 0.5), (0.3, 0.4), (3.0, 0.6))
        for seed in (0, 1, 2)
    ]
    return pictures.picture(_ALPHA, settings_of(_ALPHA, lines))


def test_what_the_main_picture_shows():
    shown = _main()
    assert list(shown.lines) == [
        "R-Drop",
        "cross-entropy, same steps",
        "cross-entropy, same passes",
    ]
    assert shown.places == ["10", "1,000"]
    point = shown.lines["R-Drop"][0]
    assert point.each == pytest.approx((62.01, 64.01, 66.01))
    # t(0.975, 2) = 4.3027; 64.01 +- 4.3027 * 2 / sqrt(3)
    assert point[2:] == pytest.approx((64.01, 59.0418, 68.9782), abs=1e-3)


def test_one_seed_has_no_interval():
    lines = [one for one in main_table_lines() if one["seed"] == 0]
    point = _main(lines).lines["R-Drop"][0]
    assert point.low == point.mean == point.high


def test_an_ablation_is_over_numbers():
    shown = _alpha()
    assert shown.is_numeric
    assert shown.places == [0.3, 3.0, 30.0]
    axes = pictures._figure(shown).axes[0]
    assert axes.get_xscale() == "log"
    assert len(axes.collections) == 1  # the band


@pytest.mark.parametrize("make", [_main, _alpha])
def test_the_file_is_small_and_grey(tmp_path, make):
    path, shown = tmp_path / "a.png", make()
    pictures.write(shown, path)
    assert path.stat().st_size < 60_000
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert (pixels == pixels[..., :1]).all()
    assert (pixels < 128).any()
    assert pictures.digest_in(path) == shown.digest


def test_the_digest_is_of_the_numbers(tmp_path):
    lines = main_table_lines()
    before = _main(lines).digest
    assert _main(lines).digest == before
    lines[3]["test_top1"] += 0.001
    assert _main(lines).digest != before
    assert pictures.digest_in(tmp_path / "none.png") == ""
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert pictures.digest_in(tmp_path / "broken.png") == ""
