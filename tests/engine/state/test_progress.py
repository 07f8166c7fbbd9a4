"""The progress of a run comes back from its file, and a file that is not of the step is refused."""

from __future__ import annotations

import pytest

from common.errors import UserError
from engine.state.progress import Progress


def test_it_comes_back():
    progress = Progress(steps_done=7, global_batch=64, best_top1=0.5, best_step=6, best_of="ema")
    content = progress.to_json()
    assert content["step"] == 7
    assert "steps_done" not in content
    assert Progress.from_json(content, 7, "run") == progress


def test_a_file_of_an_earlier_version_may_lack_fields():
    assert Progress.from_json({"step": 3}, 3, "run") == Progress(steps_done=3)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 8},
        {"step": "7"},
        {"step": True},
        {"global_batch": "64"},
        {"best_of": "other"},
        {"validation_due": 1},
        {"teacher": None},
        {"incidents": [{"action": "skip"}]},
    ],
)
def test_what_is_refused(change):
    content = {**Progress(steps_done=7).to_json(), **change}
    with pytest.raises(UserError, match=r"run: not a whole checkpoint .* not that of step 7"):
        Progress.from_json(content, 7, "run")
