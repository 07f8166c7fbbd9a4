"""The benchmark measures what it names, and takes turns."""

from __future__ import annotations

import json
import os
import pkgutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import import_timm, run_program
from in_process import run_here

from common.errors import UserError
from models.input_images import normalise
from tools import benchmark
from tools.measure import data_loading, interleaved, jpeg_decoding
from tools.measure.timed_steps import config_of


@pytest.mark.parametrize(
    ("what", "rows"), [("train", 1), ("eval", 1), ("cost", 3), ("checkpoint", 3)]
)
def test_the_table_and_its_json(tmp_path, what, rows):
    path = tmp_path / "speed.json"
    words = ["--model", "vit_n_2", "--batch", "4", "--shared_blocks", "2", "--rounds", "3"]
    done = run_program("-m", "tools.benchmark", what, *words, "--json", path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == rows
    found = json.loads(path.read_text())
    assert {"images_per_second", "seconds", "model", "settings"} <= found.keys()
    assert len(found["seconds"]) == 3
    assert len(found["rows"]) == rows
    assert found["images_per_second"] == pytest.approx(4 / sorted(found["seconds"])[1])


def test_the_data_path_beside_stock_transforms(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ["OMP_NUM_THREADS"])  # it comes back
    monkeypatch.setattr(data_loading, "_torchvision", lambda *_: None)
    path = tmp_path / "data.json"
    words = ["--image_size", "64", "--batch", "4", "--rounds", "3", "--json", path]
    done = run_here("tools.benchmark", "data", *words)
    assert done.returncode == 0, done.stderr
    rows = json.loads(path.read_text())["rows"]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    assert groups == [
        f"{what}, made-up images of {side} px, to 64 px"
        for side in (64, 32)
        for what in ("training", "evaluation")
    ]
    assert len(done.stdout.splitlines()) == len(rows) + len(groups)
    names = [row["name"] for row in rows if row["group"] == groups[0]]
    assert names[::4] == ["ours", "paddle.vision"]
    for row in rows:
        assert len(row["seconds"]) == len(row["ratios"]) == 3
        assert row["images_per_second"] == pytest.approx(4 / sorted(row["seconds"])[1])


def test_decoders_of_jpegs_take_turns(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ["OMP_NUM_THREADS"])  # it comes back
    made = {"Pillow": jpeg_decoding._decoders()[jpeg_decoding._PILLOW], "half": jpeg_decoding._half}
    monkeypatch.setattr(jpeg_decoding, "_PILLOW", "Pillow")
    monkeypatch.setattr(jpeg_decoding, "_decoders", lambda: made)
    path = tmp_path / "jpeg.json"
    words = ["--image_size", "64", "--batch", "2", "--rounds", "3", "--json", path]
    done = run_here("tools.benchmark", "jpeg", *words)
    assert done.returncode == 0, done.stderr
    assert "JPEGs of 500 x 375 pixels" in done.stdout
    assert "Pillow: 0 levels from Pillow at most\n" in done.stdout
    assert "half:" not in done.stdout  # it is of another size
    rows = json.loads(path.read_text())["rows"]
    assert [(row["group"], row["name"]) for row in rows] == [
        (what, name)
        for what in ("decoding alone", "training, to 64 px", "evaluation, to 64 px")
        for name in made
    ]


def test_a_decoder_at_half_the_size():
    content = jpeg_decoding._enlarged(np.zeros((64, 64, 3), np.uint8))
    assert jpeg_decoding._half(content).shape == (188, 250, 3)
    assert jpeg_decoding._decoders()[jpeg_decoding._PILLOW](content).shape == (375, 500, 3)


def _data_config(size: int):
    words = ["data", "--image_size", str(size), "--batch", "3", "--model", "vit_b_16"]
    return config_of(benchmark._arguments(words))


def _stock(config, source, torchvision: bool):
    made = data_loading._torchvision if torchvision else data_loading._paddle_vision
    return made(config, source, False)([(0, 4), (0, 1), (0, 2)])


@pytest.mark.slow
def test_torchvision_does_the_same_work():
    import_timm()
    config, source = _data_config(80), data_loading._made_up(6, 64)
    found = _stock(config, source, torchvision=True).numpy()
    np.testing.assert_allclose(found, _stock(config, source, torchvision=False).numpy(), atol=1e-5)


def test_stock_transforms_do_the_same_work():
    """Batches of evaluation, which draws nothing, are those of the host and of the device."""
    config, source = _data_config(80), data_loading._made_up(6, 64)
    keys, batches = [(0, 4), (0, 1), (0, 2)], []
    for place in ("host", "device"):
        dataset = data_loading._dataset(config, source, False, place)
        batches.append(normalise(data_loading._load(dataset, keys).pixels(), config.model).numpy())
    stock = _stock(config, source, torchvision=False).numpy()
    assert (batches[0] == batches[1]).all()
    assert stock.shape == (3, 3, 80, 80)
    np.testing.assert_allclose(batches[0], stock, atol=1e-5)


def test_all_members_read_the_same_batches_and_are_timed(monkeypatch):
    config, read, ticks = _data_config(64), [], iter([1.0, 3.5, 4.0, 4.25])
    dataset = data_loading._dataset(config, data_loading._made_up(12, 64), True, "host")
    members = [data_loading._timed(read.append, dataset, config) for _ in range(2)]
    monkeypatch.setattr(data_loading, "time", SimpleNamespace(perf_counter=ticks.__next__))
    assert [step() for step in members] == [2.5, 0.25]
    assert read[0] == read[1]
    assert len({index for _, index in read[0]}) == config.train.batch_size


def test_images_are_not_made_smaller():
    with pytest.raises(UserError, match="--image_size is 48, expected 64 or more"):
        data_loading.groups(_data_config(48), "")


def test_it_takes_turns():
    order = []
    steps = {name: lambda name=name: order.append(name) or 1.0 for name in "ab"}
    assert interleaved.measure(steps, 2) == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert "".join(order) == "abababab"


def test_a_turn_repeats_short_steps():
    seconds = iter([9.0, 9.0, 0.3, 0.1, 0.2, 0.6])  # two rounds of warm-up, two of one turn each
    assert interleaved.measure({"a": lambda: next(seconds)}, 2) == {"a": [0.2, 0.6]}


def test_a_turn_of_scaled_seconds_ends():
    calls = []
    interleaved.measure({"a": lambda: calls.append(time.sleep(0.1)) or 1e-9}, 1)
    assert 3 <= len(calls) <= 2 + 6  # two of warm-up, then at most half a second


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--model", "vit_n_3"], "model 'vit_n_3' is not known"),
        (["train", "--model", "vit_n_2", "--drop_rate", "0"], "R-Drop needs noise"),
        (["cost", "--copies", "1"], "--copies is 1, expected 2 or more"),
        (["data", "--peer", "timm"], "--peer has no meaning for data"),
        (
            ["eval", "--data_root", "x"],
            "--data_root has no meaning for eval: it is that of data and",
        ),
        (["train", "--rounds", "0"], "--rounds is 0, expected 1 or more"),
        (["cost", "--peer", "timm"], "--peer has no meaning for cost"),
        (["eval", "--peak"], "--peak has a meaning for train alone"),
        (["cost", "--precision", "bfloat16"], "--precision has no meaning for cost"),
        (["memory", "--batch", "0"], "--batch is 0, expected 1 or more"),
        (["memory", "--model", "vit_n_3"], "model 'vit_n_3' is not known"),
    ],
)
def test_mistakes_are_one_line(words, message):
    done = run_program("-m", "tools.benchmark", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_share_of_the_peak():
    words = ["--model", "vit_n_2", "--batch", "4", "--rounds", "1", "--peak"]
    done = run_program("-m", "tools.benchmark", "train", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("the step reaches ")


@pytest.mark.slow
def test_memory_of_a_step(tmp_path):
    """Each batch in a process of its own; the line goes through what was measured."""
    path = tmp_path / "memory.json"
    words = ["--model", "vit_n_2", "--batch", "2", "--recompute", "--json", path]
    done = run_program("-m", "tools.benchmark", "memory", *words)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["2", "4", "6", "an", "beside"]
    found = json.loads(path.read_text())
    assert found["settings"]["recompute"]
    assert [(row["batch"], len(row["peaks"])) for row in found["rows"]] == [(2, 1), (4, 1), (6, 1)]
    assert all(
        peak > found["estimate"]["constant"] > 4 * 70_000 * 4
        for row in found["rows"]
        for peak in row["peaks"]
    )
    first, middle, last = (row["peaks"][0] for row in found["rows"])
    assert found["image"] == pytest.approx((last - first) / 4, abs=1)
    assert found["constant"] + 4 * found["image"] == pytest.approx(
        (first + middle + last) / 3, rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("operators", ["plain", "auto"])
def test_the_estimate_of_memory_is_what_is_measured(tmp_path, operators):
    path = tmp_path / "memory.json"
    words = ["--model", "vit_ti_16", "--batch", "4", "--operators", operators, "--json", path]
    assert run_program("-m", "tools.benchmark", "memory", *words).returncode == 0
    found = json.loads(path.read_text())
    assert found["image"] == pytest.approx(found["estimate"]["image"], rel=0.1)


@pytest.mark.parametrize("kind", benchmark.KINDS)
def test_every_kind_is_there(kind):
    """The table names functions, since their modules import Paddle."""
    for name in filter(None, (benchmark.KINDS[kind].measure, benchmark.KINDS[kind].serve)):
        assert callable(pkgutil.resolve_name(f"tools.measure.{name}"))


def test_the_flags_reach_the_config():
    words = ["--model", "vit_n_2", "--batch", "3", "--operators", "plain", "--recompute"]
    config = config_of(benchmark._arguments(["memory", *words]), shared_blocks=1)
    assert (config.train.batch_size, config.train.recompute) == (3, True)
    assert config.model.operators == "plain"
    assert (config.rdrop.copies, config.rdrop.shared_blocks) == (2, 1)


_FREED = """
import numpy as np
from tools.measure import peak_memory as m
m._give_back_freed()
before = m._peak()
a = np.ones(2**26)
m._reset_peak()
high = m._peak()
del a
m._reset_peak()
print(high - before, m._peak() - before)
"""


def test_memory_is_given_back_and_measured():
    """Half a GB that is freed counts while it is there, and no more after it."""
    done = run_program("-c", _FREED)
    assert done.returncode == 0, done.stderr
    high, low = map(int, done.stdout.split())
    assert high > 0.95 * 2**29
    assert low < 0.2 * 2**29


@pytest.mark.slow
def test_startup(tmp_path):
    path = tmp_path / "startup.json"
    done = run_program("-m", "tools.benchmark", "startup", "--rounds", "1", "--json", path)
    assert done.returncode == 0, done.stderr
    begun, whole = (row["seconds"][0] for row in json.loads(path.read_text())["rows"])
    assert 0 < begun < whole


def test_the_ratio_is_of_the_better_ways(capsys):
    """Of each side the first way counts; a round's ratio is that of its own two times."""
    seconds = {
        "timm, 2 processes": [2.0, 3.0, 9.0],
        "timm, 1 process": [9.0, 9.0, 9.0],
        "ours, 1 process": [1.0, 1.0, 3.0],
        "ours, 2 processes": [5.0, 5.0, 5.0],
    }
    found = interleaved.compared(seconds, 4, "ours")
    assert (found["ratio"], found["ratios"]) == (3.0, [2.0, 3.0, 3.0])
    assert "ratio: 3.00 times as fast (2.00 to 3.00)" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_peer_of_the_same_shape(tmp_path, precision):
    """Also of a ViT that timm has no name for."""
    import_timm()
    path = tmp_path / "speed.json"
    words = ["--model", "vit_n_2", "--batch", "4", "--rounds", "1", "--precision", precision]
    done = run_program("-m", "tools.benchmark", "train", *words, "--peer", "timm", "--json", path)
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text())["ratio"] > 0
