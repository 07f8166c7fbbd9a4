"""A whole export: its files, its checks, and what is refused."""

from __future__ import annotations

import json

import exports
import numpy as np
import pytest
from conftest import run_program

from common.errors import UserError
from configs import digits_ce
from engine.commands import single_run
from inference import load
from inference.export import comparison, export, int8, package, runners
from inference.export.comparison import Row


@pytest.fixture(autouse=True)
def _measures_speed_once(monkeypatch):
    monkeypatch.setattr(comparison, "_SECONDS", 0)
    monkeypatch.setattr(comparison, "_LEAST", 1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A classifier that knows most of the digits."""
    config = digits_ce.get_config()
    config.data.holdout = 0.0
    config.optim.warmup_steps = 10
    config.train.steps = 120
    folder = tmp_path_factory.mktemp("digits") / "run"
    single_run.train(config, folder)
    return load(folder)


def _export(classifier, target, **options):
    options = export.Options(**options)
    export.check_options(options, target)
    return export.export(classifier, target, options, lambda line: None)


def test_float32_in_both_formats(digits, tmp_path):
    """What is written agrees with what is measured here again, by numpy and onnxruntime alone."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("paddle2onnx")
    done = _export(digits, tmp_path / "made", images=120)
    own, paddle_row, onnx_row = done.rows
    assert "120 of 500 test images of digits" in done.images
    assert own.top1 == paddle_row.top1 == onnx_row.top1 > 0.4
    assert own.low < own.top1 < own.high
    assert 0 < onnx_row.difference < 1e-4
    assert onnx_row.agreement == 1
    files = {path.name for path in (tmp_path / "made").iterdir()}
    assert files <= package.FILES
    assert files > {"model.onnx", "model.pdiparams", "labels.txt", "README.md", "predict.py"}
    assert onnx_row.bytes == (tmp_path / "made" / "model.onnx").stat().st_size
    rules = json.loads((tmp_path / "made" / "preprocess.json").read_text())
    session = onnxruntime.InferenceSession(str(tmp_path / "made" / "model.onnx"))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    scaled = pixels / 255.0 - np.array(rules["mean"]).reshape(1, 3, 1, 1)
    images = (scaled / np.array(rules["std"]).reshape(1, 3, 1, 1)).astype("float32")
    (logits,) = session.run(["logits"], {"images": images})
    np.testing.assert_allclose(logits, digits.logits(pixels), atol=1e-4)
    readme = (tmp_path / "made" / "README.md").read_text()
    assert f"{100 * own.top1:.2f} ({100 * own.low:.2f} to {100 * own.high:.2f})" in readme
    assert (tmp_path / "made" / "labels.txt").read_text() == "".join(f"{n}\n" for n in range(10))


def test_int8_keeps_the_accuracy_and_is_smaller(digits, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("paddle2onnx")
    _, full, small = _export(
        digits, tmp_path / "made", format="onnx", precision="int8", uint8=True, max_drop=0.03
    ).rows
    assert (full.kept, small.kept) == (False, True)
    assert small.bytes < 0.5 * full.bytes
    assert small.top1 > full.top1 - 0.03
    assert small.difference > 1e-3
    nodes = onnx.load(str(tmp_path / "made" / "model.onnx")).graph.node
    softmax = {name for node in nodes if node.op_type == "Softmax" for name in node.output}
    quantised = {name for node in nodes if node.op_type == "QuantizeLinear" for name in node.input}
    assert quantised
    assert not softmax & quantised
    assert "not kept" in (tmp_path / "made" / "README.md").read_text()


def test_int8_that_loses_too_much_leaves_nothing(digits, tmp_path, monkeypatch):
    """Calibrated with black images alone; an earlier export stays as it was."""
    pytest.importorskip("paddle2onnx")
    target = tmp_path / "made"
    _export(digits, target, format="paddle", images=10)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    usual = int8.prepared
    monkeypatch.setattr(int8, "prepared", lambda pixels, used: usual(0 * pixels, used))
    with pytest.raises(runners.Refused, match="more than --max_drop=0.01"):
        _export(digits, target, format="onnx", precision="int8")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@exports.needs_paddle_3
def test_bfloat16_is_measured_in_bfloat16_or_refused(digits, tmp_path):
    """Where the processor has it: near the float32 logits, but not equal to them."""
    try:
        done = _export(
            digits, tmp_path / "made", format="paddle", precision="bfloat16", max_drop=0.1
        )
    except runners.Refused as refusal:
        assert "this processor has no bfloat16" in str(refusal)  # noqa: PT017
        assert not (tmp_path / "made").exists()
        return
    own, full, reduced = done.rows
    assert 1e-4 < reduced.difference < 0.05 * own.scale
    assert full.difference < 1e-4
    rules = json.loads((tmp_path / "made" / "preprocess.json").read_text())
    assert rules["precision"] == "bfloat16"


@pytest.mark.slow
def test_the_choices_of_int8_are_measured(digits):
    pytest.importorskip("paddle2onnx")
    done = run_program(
        "-m", "tools.measure.int8_choices", "--weights", digits.origin, "--images", 50
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[2:4] for line in done.stdout.splitlines()[3:]]
    assert len(rows) == 6
    assert float(rows[0][1]) == 100


def test_calibration_uses_training_images_alone(digits):
    training = export.samples.training_part(digits, "", 30)
    test = export.samples.test_part(digits, "", 0)
    seen = {image.tobytes() for pixels, _ in test.batches() for image in pixels}
    own = [image.tobytes() for pixels, _ in training.batches() for image in pixels]
    assert len(own) == 30
    assert not seen & set(own)


@exports.needs_paddle_3
def test_another_network_is_refused(digits, tmp_path, monkeypatch):
    """A graph that computes something else: here the weights change between graph and check."""
    usual = export.graph.save

    def save(classifier, folder, uint8):
        files = usual(classifier, folder, uint8)
        head = classifier.model.head.bias
        head.set_value(head + 1e-2)
        return files

    kept = digits.model.head.bias.clone()
    monkeypatch.setattr(export.graph, "save", save)
    with pytest.raises(runners.Refused, match="differs from the model by 0.01"):
        _export(digits, tmp_path / "made", format="paddle", images=10)
    digits.model.head.bias.set_value(kept)
    assert not list(tmp_path.iterdir())


@exports.needs_paddle_3
def test_without_the_data(painted, tmp_path):
    """Made-up images check the graph, and the README says so; int8 needs the data."""
    config = exports.config_of("vit_n_8", 16, 3)
    config.data.update(name="folder", root=str(painted / "gone"))
    classes = ("class_0", "class_1", "class_2")
    classifier = exports.untrained(tmp_path / "w.safetensors", config, classes)
    done = _export(classifier, tmp_path / "made", format="paddle")
    assert "made-up images" in done.images
    assert done.rows[1].top1 is None
    assert "not measured" in (tmp_path / "made" / "README.md").read_text()
    done = _export(classifier, tmp_path / "made", format="paddle", data_root=str(painted))
    assert done.rows[1].images == 15
    with pytest.raises(UserError, match="needs the data.*--data_root"):
        _export(classifier, tmp_path / "made", format="paddle", precision="bfloat16")
    with pytest.raises(UserError, match="gone"):
        _export(classifier, tmp_path / "x", format="paddle", data_root=str(painted / "gone"))
    other = exports.untrained(tmp_path / "o.safetensors", config, ("a", "class_1", "class_2"))
    with pytest.raises(UserError, match="class 0 of the data is 'class_0'"):
        _export(other, tmp_path / "x", format="paddle", data_root=str(painted))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["a\nb", "a\u2028b", "a\rb", "\ud800"])
def test_names_that_a_line_can_not_hold(digits, tmp_path, name):
    with pytest.raises(UserError, match=r"class 1, .* rename it"):
        package.check_labels(("plain", name))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "both", "precision": "int8"}, "int8 needs --format onnx"),
        ({"format": "onnx", "precision": "bfloat16"}, "bfloat16 needs --format paddle"),
        ({"max_drop": -0.1}, "expected 0 to 1"),
        ({"max_drop": float("nan")}, "expected 0 to 1"),
        ({"opset": 7}, "--opset is 7, expected 13 to 19"),
        ({"images": -1}, "expected 0"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, options, reason):
    with pytest.raises(UserError, match=reason):
        export.check_options(export.Options(**options), tmp_path / "made")


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(UserError, match=r"other files \(thesis.tex\)"):
        export.check_options(export.Options(format="paddle"), tmp_path)
    with pytest.raises(UserError, match="is a file"):
        export.check_options(export.Options(format="paddle"), tmp_path / "thesis.tex")


def test_missing_libraries_are_named():
    with pytest.raises(UserError, match=r"no_such_library .*requirements-extras.txt"):
        runners.need("json", "no_such_library")


def _row(top1, difference=0.0, scale=1.0):
    return Row("onnx int8", True, 1, difference, scale, 1, 0, 100, top1, 0, 1, {})


def test_bounds():
    comparison.check_drop(_row(0.90), _row(0.91), 0.011)
    comparison.check_drop(_row(0.95), _row(0.91), 0.0)
    with pytest.raises(runners.Refused, match="loses 0.0200, more than"):
        comparison.check_drop(_row(0.89), _row(0.91), 0.011)
    comparison.check_agreement(_row(1, difference=4e-3, scale=50))
    with pytest.raises(runners.Refused, match="differs"):
        comparison.check_agreement(_row(1, difference=6e-3, scale=50))
    with pytest.raises(runners.Refused, match="differs"):
        comparison.check_agreement(_row(1, difference=float("nan")))
