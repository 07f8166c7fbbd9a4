"""What VisualDL shows of a finished run, read back by its own reader."""

from __future__ import annotations

import io

import numpy as np
import paddle
import pytest
from PIL import Image
from visualdl import LogReader

import data
import models
from configs import default
from engine.results.evaluation import Result
from engine.results.visualdl import evaluated_images, final_records
from engine.results.visualdl.evaluated_images import EvaluatedImages
from program.run_folder import VISUALDL

_NAMES = ("猫", "🐕 dog", "50 %", "a/b", "<b>", "plain")
_RESULT = Result(0.75, None, 1.0, 0.1, 12, 0, 1.0, 1.0)


def _batches(images=12, unreadable=(), size=5):
    rng = np.random.default_rng(0)
    labels = np.arange(images) % len(_NAMES)
    labels[list(unreadable)] = data.UNREADABLE
    pixels = rng.integers(0, 256, (images, 3, 8, 8), dtype=np.uint8)
    for start in range(0, images, size):
        part = slice(start, start + size)
        yield data.Batch(paddle.to_tensor(pixels[part]), paddle.to_tensor(labels[part]), 0)


def _collected(images=12, unreadable=(), classes=6):
    """Passes images through a small model; returns what was kept, and the logits."""
    paddle.seed(0)
    model = models.create("vit_n_2", num_classes=classes, image_size=8)
    model.eval()
    kept, passed = EvaluatedImages(images, classes), []
    with kept.watching(model), paddle.no_grad():
        for batch in _batches(images, unreadable):
            logits = model(batch.images.astype("float32") / 255).numpy()
            kept.add(batch, logits)
            passed.append(logits)
    return model, kept, np.concatenate(passed) if passed else np.zeros((0, classes))


def _written(folder, kept, names=_NAMES):
    run = final_records.Finished(
        default.get_config(), names, 20, 10, _RESULT, kept, kept.gathered()
    )
    assert final_records.write(folder, run) == []
    return LogReader(file_path=str(folder / VISUALDL))


def test_figures_and_settings(tmp_path):
    reader = _written(tmp_path, _collected()[1])
    figures = {tag: reader.get_data("scalar", tag) for tag in reader.get_tags()["scalar"]}
    shown = {tag: (points[0].id, points[0].value) for tag, points in figures.items()}
    assert shown == {
        "test/top1": (20, 0.75),
        "test/loss": (20, 1.0),
        "test/ece": (20, pytest.approx(0.1)),
    }
    settings = reader.get_data("hyper_parameters", "hparam")[0].hparam
    values = {one.name: getattr(one, one.WhichOneof("type")) for one in settings.hparamInfos}
    assert values["alpha"] == 1.0
    assert values["batch"] == 10
    # The page finds the figures by the names of curves.
    assert {one.name for one in settings.metricInfos} <= set(figures)


def test_features_are_what_the_head_reads(tmp_path):
    model, kept, logits = _collected(unreadable=[3])
    rows = [row for row in range(12) if row != 3]
    found = paddle.to_tensor(kept.features)
    np.testing.assert_allclose(model.head(found).numpy(), logits[rows], atol=1e-5)
    record = _written(tmp_path, kept).get_data("embeddings", "test_features")[0].embeddings
    assert len(record.embeddings) == 11
    np.testing.assert_allclose([one.vectors for one in record.embeddings], kept.features, rtol=1e-6)
    label, predicted, right = zip(*(one.label for one in record.embeddings))
    assert label[:3] == ("0 猫", "1 🐕 dog", "2 50 \N{FULLWIDTH PERCENT SIGN}")
    expected = logits[rows].argmax(axis=1)
    assert [int(name[0]) for name in predicted] == expected.tolist()
    labels = np.array(rows) % 6
    assert [one == "right" for one in right] == (labels == expected).tolist()


def test_mistakes_are_the_most_certain_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluated_images, "_MOST_MISTAKES", 9)
    _, kept, logits = _collected(30, unreadable=[4])
    labels = np.arange(30) % 6
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predicted = logits.argmax(axis=1)
    wrong = [row for row in range(30) if predicted[row] != labels[row] and row != 4]
    wrong = sorted(wrong, key=lambda row: -probabilities[row].max())[:9]
    assert [(one.label, one.predicted) for one in kept.mistakes] == [
        (labels[row], predicted[row]) for row in wrong
    ]
    pixels = np.concatenate([batch.images.numpy() for batch in _batches(30)])
    assert all((one.pixels == pixels[row]).all() for one, row in zip(kept.mistakes, wrong))
    reader = _written(tmp_path, kept)
    assert sorted(reader.get_tags()["image"]) == ["test/mistakes 1", "test/mistakes 2"]
    content = reader.get_data("image", "test/mistakes 1")[0].image.encoded_image_string
    assert np.asarray(Image.open(io.BytesIO(content))).std() > 30  # not an empty frame


def test_curves_of_each_class(tmp_path):
    kept = _collected(unreadable=[0, 6])[1]  # all images of the first class
    reader = _written(tmp_path, kept)
    names = ["1 🐕 dog", "2 50 \N{FULLWIDTH PERCENT SIGN}", "3 a∕b", "4 <b>", "5 plain"]
    assert reader.get_tags()["pr_curve"] == [f"test_pr/{name}" for name in names]
    assert reader.get_tags()["roc_curve"] == [f"test_roc/{name}" for name in names]
    curve = reader.get_data("pr_curve", f"test_pr/{names[4]}")[0].pr_curve
    assert (curve.TP[0], curve.FP[0], curve.TN[0], curve.FN[0]) == (2, 8, 0, 0)
    assert curve.precision[0] == pytest.approx(0.2)
    rates = reader.get_data("roc_curve", f"test_roc/{names[4]}")[0].roc_curve
    assert (rates.tpr[0], rates.fpr[0], rates.tpr[-1]) == (1, 1, 0)


def test_no_curves_of_many_classes(tmp_path):
    kept = _collected(classes=21)[1]
    reader = _written(tmp_path, kept, tuple(f"class {index}" for index in range(21)))
    assert {"pr_curve", "roc_curve"}.isdisjoint(reader.get_tags())
    assert reader.get_data("embeddings", "test_features")[0].embeddings.embeddings[0].label[0] == (
        "00 class 0"
    )


@pytest.mark.parametrize("images", [0, 1])
def test_hardly_any_images(tmp_path, images):
    reader = _written(tmp_path, _collected(images)[1])
    assert "test/top1" in reader.get_tags()["scalar"]
    assert ("embeddings" in reader.get_tags()) == bool(images)


def test_a_fault_is_a_warning_and_adds_nothing(tmp_path):
    _, kept, _ = _collected()
    kept.add(None, np.zeros((1, 6)))  # no batch
    run = final_records.Finished(
        default.get_config(), _NAMES, 20, 10, _RESULT, kept, kept.gathered()
    )
    (warning,) = final_records.write(tmp_path, run)
    assert "AttributeError" in warning
    assert not (tmp_path / VISUALDL).exists()
    assert run.probabilities[0].shape == (0, 6)  # other processes get theirs all the same


def test_numbers_that_are_not_finite(tmp_path):
    kept = EvaluatedImages(5, 6)
    with kept.watching(models.create("vit_n_2", num_classes=6, image_size=8)):
        kept.add(next(_batches()), np.full((5, 6), np.nan, np.float32))
    assert "pr_curve" in _written(tmp_path, kept).get_tags()
