"""Cards and batch of a reproduction: the images of a step stay as published."""

from __future__ import annotations

import pytest

from common.errors import UserError
from tools.reproduction import page, set_up
from tools.reproduction.published.figures import FIGURES
from tools.reproduction.set_up import Options

_FIGURE = FIGURES["cifar100_vit_b_384"]


@pytest.fixture
def cards(monkeypatch):
    """Makes that many GPU visible."""

    def make(count: int) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count))))

    return make


@pytest.mark.parametrize(
    ("visible", "gpus", "batch", "split"),
    [
        (4, None, 0, (4, 16, 8)),  # as published
        (8, None, 0, (4, 16, 8)),  # no more than published
        (1, None, 0, (1, 16, 32)),
        (2, None, 8, (2, 8, 32)),
        (3, None, 0, (2, 16, 16)),  # 3 do not divide 512
        (8, 8, 0, (8, 16, 4)),
        (4, 4, 128, (4, 128, 1)),
        (4, 4, 1000, (4, 128, 1)),  # never more than the card's share
        (4, 4, 3, (4, 2, 64)),
        (4, 0, 0, (1, 16, 32)),  # on the CPU
    ],
)
def test_the_images_of_a_step_stay(cards, visible, gpus, batch, split):
    cards(visible)
    found = set_up.make(_FIGURE, Options(gpus=gpus, batch=batch))
    train = found.fields["train.batch_size"], found.fields["train.accumulation_steps"]
    assert (found.processes, *train) == split
    assert found.global_batch == 512 == split[0] * split[1] * split[2]


def test_what_fewer_cards_change_is_said(cards):
    cards(1)
    notes = set_up.make(_FIGURE, Options(batch=4, given={"train.amp": "O1"})).notes
    assert "4 GPU, this run is on 1 GPU: 512 images a step and the rate stay, 4 images" in notes[0]
    assert "128 micro-batches for each card" in notes[0]
    assert "nothing else depends on it" in notes[1]
    assert notes[2] == "--set train.amp=O1: your own"
    mixed = set_up.make(FIGURES["tiny_imagenet_swin_l_384"], Options(batch=4)).notes
    assert "mixup and CutMix draw one mix for a micro-batch" in mixed[0]
    norms = set_up.make(FIGURES["imagenet_resnet_50_batch_256"], Options(batch=16)).notes
    assert "batch norms" in norms[1]


@pytest.mark.parametrize(
    ("visible", "gpus", "message"),
    [
        (0, None, "is for 4 GPU, and none is visible; --gpus 0 trains on the CPU"),
        (2, 4, "--gpus 4: 2 GPU are visible; give fewer: the images of a step stay 512"),
        (4, 3, "512 images of a step can't be divided over 3 cards; give 1, 2, 4"),
    ],
)
def test_cards_that_do_not_do(cards, visible, gpus, message):
    cards(visible)
    with pytest.raises(UserError, match=message):
        set_up.make(_FIGURE, Options(gpus=gpus))


def test_a_field_that_is_none(cards):
    cards(4)
    with pytest.raises(UserError, match="no such field"):
        set_up.make(_FIGURE, Options(given={"train.ampp": "O1"}))


def test_figures_for_a_cpu_and_rehearsals_need_no_card(cards):
    cards(0)
    assert set_up.make(FIGURES["digits_rdrop"], Options()).processes == 1
    small = set_up.make(_FIGURE, Options(scale="tiny"))
    assert (small.processes, small.cards, small.global_batch) == (2, (), 8)
    assert "rehearsal" in small.notes[0]


def test_programs_on_the_cpu_see_no_card(cards):
    """Nor does Paddle's launcher fail, as it does with an empty value."""
    cards(2)
    assert set_up.make(_FIGURE, Options()).environment == {}
    on_cpu = set_up.make(_FIGURE, Options(gpus=0))
    assert on_cpu.environment == {"CUDA_VISIBLE_DEVICES": "all"}


def test_command_lines(cards, tmp_path):
    cards(2)
    found = set_up.make(FIGURES["imagenet_vit_b_384_cross_entropy"], Options())
    words = found.words(data__root="/d")
    assert words[:2] == ["--config=configs/imagenet_vit_b_384.py", "--row=cross_entropy"]
    assert {"--config.train.accumulation_steps=16", "--config.data.root=/d"} <= set(words)
    assert found.launcher(tmp_path)[2:4] == ["--gpus", "0,1"]


def test_everything_that_is_assumed_is_said_before(cards):
    cards(4)
    for figure in FIGURES.values():
        lines = "\n".join(page.before(set_up.make(figure, Options())))
        for text in (*figure.open_questions, *figure.differences, figure.published.source):
            assert text in lines
    assert "download: CIFAR-100, 0.17 GB" in "\n".join(page.before(set_up.make(_FIGURE, Options())))
