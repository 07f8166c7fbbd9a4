"""Results of runs as lines: what is in one, that it is there once, and no path of the machine."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made_lines import made_line

from common.errors import UserError
from configs import default
from report.runs import Run
from tools.results import lines

_RESULT = {
    "top1": 0.5,
    "loss": 1.5,
    "ece": 0.1,
    "best_top1": 0.6,
    "step": 4,
    "weights_of": "ema",
    "images_seen": 256,
    "seconds": 2.5,
    "weights_sha256": "ab",
    "data": {"test": {"images": 500, "sha256": "ef", "classes": ["a"]}},
}


def _run(folder: Path, **fields) -> Run:
    config = default.get_config()
    config.update_from_flattened_dict(
        {"train.batch_size": 32, "rdrop.copies": 2, "rdrop.every_steps": 1, "seed": 3, **fields}
    )
    records = [{"step": step, "split": "train"} for step in (4, 8)]
    environment = {
        "python": "3.11.7",
        "packages": {"paddlepaddle": "3.3.1"},
        "device": "cpu",
        "machine": "Linux x86_64, 2 cores",
        "processor": "Some Processor",
        "threads": "1",
        "git_commit": "01ab",
        "command": "/home/me/bin/python /home/me/main.py",
    }
    return Run(folder, folder.name, config, records, dict(_RESULT), environment)


def test_what_a_line_has(tmp_path):
    begun = {"sha256": "cd", "source": "/home/me/vit.npz", "survival": 0.75}
    (tmp_path / "pretrained.json").write_text(json.dumps(begun))
    run = _run(
        tmp_path,
        **{"data.root": "/home/me/cifar.tar.gz", "model.pretrained": "~/vit.npz", "optim.lr": 0.5},
    )
    overrides = ["optim.lr=0.5", "data.root=/home/me/cifar.tar.gz", "model.pretrained=~/vit.npz"]
    line = lines.of_run(run, "configs/digits_rdrop.py", "sgd", overrides)
    assert "/home/me" not in json.dumps(line)
    assert "~" not in json.dumps(line)
    assert line["command"] == (
        "python main.py --config=configs/digits_rdrop.py --row=sgd "
        "--config.data.root=cifar.tar.gz --config.model.pretrained=vit.npz --config.optim.lr=0.5 "
        "--config.seed=3"
    )
    assert line["setting"] == (
        "digits_rdrop sgd data.root=cifar.tar.gz model.pretrained=vit.npz optim.lr=0.5"
    )
    wanted = {
        "config": "configs/digits_rdrop.py",
        "row": "sgd",
        "seed": 3,
        "test_top1": 0.5,
        "test_loss": 1.5,
        "test_ece": 0.1,
        "val_top1": 0.6,
        "best_step": 4,
        "steps": 8,
        "images_seen": 256,
        "passes": 512,
        "seconds": 2.5,
        "weights_of": "ema",
        "processor": "Some Processor",
        "machine": "Linux x86_64, 2 cores",
        "threads": "1",
        "git_commit": "01ab",
        "versions": {"python": "3.11.7", "paddlepaddle": "3.3.1"},
        "pretrained_sha256": "cd",
        "survival": 0.75,
        "weights_sha256": "ab",
        "test_images": 500,
        "test_images_sha256": "ef",
    }
    assert {name: line[name] for name in wanted} == wanted
    assert line["fields"]["optim.lr"] == 0.5
    assert line["fields"]["data.root"] == "cifar.tar.gz"
    assert "seed" not in line["fields"]


def test_what_is_no_path_stays(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    for value in ("hf/owner/name", "https://a.org/b.npz", "published", ""):
        assert lines.shortened(("model.pretrained", value)) == ("model.pretrained", value)
    assert lines.shortened(("data.root", f"{tmp_path}/weights/")) == ("data.root", "weights")
    (tmp_path / "weights" / "one").mkdir()
    assert lines.shortened(("model.pretrained", "weights/one")) == ("model.pretrained", "one")
    assert lines.shortened(("rdrop.drop_rates", "(0.1,0.2)")) == ("rdrop.drop_rates", "(0.1,0.2)")


@pytest.mark.parametrize(
    ("fields", "steps", "expected"),
    [  # 32 images a step
        ({"rdrop.copies": 1}, 8, 256),
        ({"rdrop.copies": 3}, 8, 768),
        ({"rdrop.every_steps": 2}, 8, 256 + 4 * 32),
        ({"rdrop.every_steps": 5}, 8, 256 + 2 * 32),  # steps 0 and 5
        ({"rdrop.unlabelled_batch_size": 16}, 8, 512 + 8 * 2 * 16),
    ],
)
def test_passes(tmp_path, fields, steps, expected):
    config = _run(tmp_path, **fields).config
    assert lines.passes(config, steps, 256) == expected


def test_a_loss_that_is_not_finite(tmp_path):
    run = _run(tmp_path)
    line = lines.of_run(run._replace(result={**_RESULT, "loss": float("nan")}), "a.py", "", [])
    assert line["test_loss"] is None
    with pytest.raises(UserError, match="not finished"):
        lines.of_run(run._replace(result=None), "a.py", "", [])
    with pytest.raises(UserError, match="no records"):
        lines.of_run(run._replace(records=[]), "a.py", "", [])


def test_a_run_has_one_line(tmp_path):
    path = tmp_path / "results" / "a.jsonl"
    line = made_line("rdrop_10", 0, 0.5)
    assert lines.append(path, line)
    assert not lines.append(path, {**line, "seconds": 1.0})  # the same result, run again
    assert lines.append(path, {**line, "seed": 1})
    assert lines.append(path, {**line, "overrides": {"optim.lr": "1"}})
    assert [one["seed"] for one in lines.read(path)] == [0, 1, 0]
    assert {one["experiment"] for one in lines.read(path)} == {"a"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"test_top1": 0.75}, r"seed 0 \(test_top1: 0.5, now 0.75\); remove"),
        ({"fields": {"optim.lr": 0.5}}, r"\(optim.lr: null, now 0.5\)"),
    ],
)
def test_another_result_of_the_same_run_is_refused(tmp_path, changed, said):
    path = tmp_path / "a.jsonl"
    line = made_line("rdrop_10", 0, 0.5)
    lines.append(path, line)
    before = path.read_bytes()
    with pytest.raises(UserError, match=said):
        lines.append(path, {**line, **changed})
    assert path.read_bytes() == before


def test_lines_that_are_written_at_a_time(tmp_path, monkeypatch):
    path, read = tmp_path / "a.jsonl", lines.read

    def slow_read(path: Path) -> list:
        found = read(path)
        time.sleep(0.01)  # the others would write now
        return found

    monkeypatch.setattr(lines, "read", slow_read)
    each = [made_line("rdrop_10", number // 2, 0.5) for number in range(40)]  # each of them twice
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda line: lines.append(path, line), each))
    assert sum(added) == 20
    assert sorted(one["seed"] for one in lines.read(path)) == list(range(20))


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("{", "a.jsonl:2: is not the line of a run"),
        ("[]", "a.jsonl:2: is not"),
        (json.dumps(made_line("a", 1, 0.5, test_top1=None)), "a.jsonl:2: is not"),
        (json.dumps(made_line("a", 0, 0.7)), "a.jsonl:2: is the second line of .* a, seed 0"),
    ],
)
def test_damaged_lines(tmp_path, second, said):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{json.dumps(made_line('a', 0, 0.5))}\n{second}\n")
    with pytest.raises(UserError, match=said):
        lines.read(path)


def test_an_experiment_without_lines(tmp_path):
    assert lines.read(tmp_path / "a.jsonl") == []
