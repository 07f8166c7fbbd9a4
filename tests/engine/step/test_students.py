"""Distillation in the objective, formula by formula, and in whole runs."""

from __future__ import annotations

import json

import numpy as np
import paddle
import pytest
from conftest import launch, paint, random_batch, random_logits, run_program

import models
from common.errors import UserError
from common.reading import sha256
from common.safetensors_files import read_safetensors
from configs import default
from engine.commands import dry_run, single_run
from engine.plan import resolve_config, run_plan, start_lines
from engine.results import metrics_reader
from engine.results.training_meter import Meter
from engine.state import run_weights
from engine.step.objective import DistilledObjective, Objective, make_objective
from losses import PRESETS, DistillationLoss, RDropLoss
from program import exits
from program.config import config_fields, config_validation
from program.signals import StopRequest


def _config(**fields):
    config = default.get_config()
    config.model.update(
        name="vit_n_2", image_size=8, num_classes=5, mean=(0.5,) * 3, std=(0.5,) * 3, drop_rate=0.2
    )
    config.distill.update(teacher="vit_n_8", weights="teacher.safetensors", alpha=0.3)
    config.update_from_flattened_dict(fields)
    config_validation.validate(config)
    return config


class _Stub:
    """A teacher that keeps what it was shown."""

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        self.seen.append(images)
        return paddle.to_tensor(
            np.random.default_rng(2).normal(0, 2, (len(images), 5)).astype("float32")
        )


def _gradient(total, logits) -> np.ndarray:
    logits.clear_gradient()
    total.backward()
    return logits.grad.numpy()


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_shares_of_the_objective_and_the_distillation(preset, kind):
    config = _config(
        **{
            "rdrop.preset": preset,
            "rdrop.alpha": 2.0,
            "distill.kind": kind,
            "distill.temperature": 2.0,
        }
    )
    objective, batch, logits, stub = (
        make_objective(config, _Stub()),
        random_batch(),
        random_logits(2, 6, 5),
        _Stub(),
    )
    images, targets = objective.prepare(batch, 0, 0)
    terms = objective(logits, targets, 0)
    base = RDropLoss(2.0, preset)(logits, batch.labels)
    distillation = DistillationLoss(kind, 2.0)(logits, stub(images))
    assert list(terms.parts) == ["ce", "kl", "distillation"]
    assert [terms.parts["ce"].item(), terms.parts["kl"].item()] == [base.ce.item(), base.kl.item()]
    assert terms.parts["distillation"].item() == distillation.item()
    expected = 0.7 * base.total + 0.3 * distillation
    assert terms.total.item() == pytest.approx(expected.item(), rel=1e-6)
    np.testing.assert_allclose(
        _gradient(terms.total, logits), _gradient(expected, logits), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("fields", [{"rdrop.copies": 1}, {"rdrop.every_steps": 2}], ids=str)
def test_one_copy(fields):
    objective, batch, logits = (
        make_objective(_config(**fields), _Stub()),
        random_batch(),
        random_logits(6, 5),
    )
    terms = objective(logits, objective.prepare(batch, 1, 0)[1], 1)
    ce = paddle.nn.functional.cross_entropy(logits, batch.labels)
    expected = 0.7 * ce + 0.3 * DistillationLoss()(logits, _Stub()(batch.images))
    assert list(terms.parts) == ["ce", "distillation"]
    assert terms.total.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_two_heads_have_a_teacher_and_labels(copies, smoothing):
    """The class head has the labels, the distillation head the teacher; KL is the mean over
    both.
    """
    config = _config(
        **{
            "model.name": "vit_n_2_distilled",
            "rdrop.copies": copies,
            "loss.label_smoothing": smoothing,
        }
    )
    objective, batch = make_objective(config, _Stub()), random_batch()
    logits = random_logits(2, 6, 2, 5) if copies == 2 else random_logits(6, 2, 5)
    targets = objective.prepare(batch, 0, 0)[1]
    terms = objective(logits, targets, 0)
    both = logits if copies == 2 else logits.unsqueeze(0)
    labels = Objective(config).prepare(batch, 0, 0)[1]
    parts = [RDropLoss()(both[:, :, head], labels) for head in (0, 1)]
    kl = 0.5 * (parts[0].kl + parts[1].kl)
    distillation = DistillationLoss()(both[:, :, 1], _Stub()(batch.images))
    expected = 0.7 * (parts[0].ce + kl) + 0.3 * distillation
    assert terms.parts["ce"].item() == pytest.approx(parts[0].ce.item(), rel=1e-6)
    assert terms.total.item() == pytest.approx(expected.item(), rel=1e-6)
    np.testing.assert_allclose(
        _gradient(terms.total, logits), _gradient(expected, logits), rtol=1e-5, atol=1e-7
    )
    assert objective.predictions(logits, targets, 0).shape == [6, 5]


@pytest.mark.parametrize("head", ["average", "class", "distillation"])
def test_one_prediction_of_a_distilled_model_has_both(head):
    config = _config(**{"model.name": "vit_n_2_distilled", "model.train_head": head})
    objective, batch = make_objective(config, _Stub()), random_batch()
    images, targets = objective.prepare(batch, 0, 0)
    logits = models.build(config.model)(images, copies=2)
    expected = 0.7 * RDropLoss()(logits, batch.labels).total + 0.3 * DistillationLoss()(
        logits, targets.teacher
    )
    assert objective(logits, targets, 0).total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_images_without_labels_have_no_teacher():
    config = _config(**{"data.labels_per_class": 9, "rdrop.unlabelled_batch_size": 3})
    objective, batch, logits = (
        make_objective(config, _Stub()),
        random_batch(6, 3),
        random_logits(2, 9, 5),
    )
    images, targets = objective.prepare(batch, 0, 0)
    assert (images.shape[0], targets.teacher.shape) == (9, [6, 5])
    terms = objective(logits, targets, 0)
    base = Objective(config)(logits, batch.labels, 0)
    assert terms.parts["kl_unlabelled"].item() == base.parts["kl_unlabelled"].item()
    distillation = DistillationLoss()(logits[:, :6], targets.teacher)
    assert terms.total.item() == pytest.approx(
        0.7 * base.total.item() + 0.3 * distillation.item(), rel=1e-6
    )


def test_the_teacher_is_asked_once_for_the_images_that_the_student_sees():
    """Mixed and normalised: those that `prepare` gives, not one for each copy."""
    config, teacher = _config(**{"data.mixup_alpha": 1.0, "rdrop.copies": 3}), _Stub()
    images, targets = make_objective(config, teacher).prepare(random_batch(), 3, 0)
    plain = Objective(config).prepare(random_batch(), 3, 0)
    assert (images == plain[0]).all()
    assert (targets.labels == plain[1]).all()
    assert [(seen == images).all().item() for seen in teacher.seen] == [True]


def test_the_meter_and_the_start_line_name_it():
    config = _config(**{"distill.temperature": 4.0})
    objective, meter, batch, logits = (
        make_objective(config, _Stub()),
        Meter(),
        random_batch(),
        random_logits(2, 6, 5),
    )
    targets = objective.prepare(batch, 0, 0)[1]
    terms = objective(logits, targets, 0)
    meter.add(terms, objective.predictions(logits, targets, 0), batch.labels)
    assert meter.read()["distillation"] == terms.parts["distillation"].item()
    lines = "\n".join(start_lines.describe(config, run_plan.make(config, 1000)))
    assert "micro-batch of 128), distilled from vit_n_8, soft, T 4, share 0.3" in lines
    config.distill.kind = "hard"
    assert "distilled from vit_n_8, hard, share 0.3" in "\n".join(
        start_lines.describe(config, run_plan.make(config, 1000))
    )
    assert "distilled" not in "\n".join(
        start_lines.describe(default.get_config(), run_plan.make(config, 1000))
    )
    assert not isinstance(make_objective(default.get_config(), None), DistilledObjective)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"distill.teacher": ""}, "has no use while distill.teacher is empty: name its model"),
        ({"distill.weights": ""}, "needs distill.weights"),
        ({"distill.alpha": 0.0}, "the teacher would teach nothing"),
        ({"distill.alpha": 1.5}, "expected 0 to 1"),
        ({"distill.alpha": 1.0}, "leaves nothing of R-Drop; set rdrop.copies=1"),
        ({"distill.kind": "warm"}, "expected one of soft, hard"),
        ({"distill.head": "new"}, "expected one of auto, imagenet"),
        (
            {"distill.temperature": 0.0},
            "config.distill: temperature is 0.0, expected 0.001 to 1000",
        ),
        ({"loss.form": "sigmoid"}, "needs loss.form=softmax"),
        (
            {"distill.alpha": 1.0, "rdrop.copies": 1, "model.name": "vit_n_2_distilled"},
            "leaves the class head without a loss",
        ),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_one_line(fields, message):
    with pytest.raises(UserError, match=message):
        make_objective(_config(**fields), _Stub())


# Whole runs, on painted images.


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A root with `train` and `test`: 3 classes of 12 and 5 images."""
    root = tmp_path_factory.mktemp("painted")
    paint(root / "train", 3, 12)
    paint(root / "test", 3, 5)
    return root


def _run_config(images, **fields):
    config = default.get_config()
    config.data.update(name="folder", root=str(images), crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.update(lr=5e-3, warmup_steps=2, clip_norm=1.0)
    config.train.update(steps=20, batch_size=12, log_every_steps=1)
    config.update_from_flattened_dict(fields)
    return config


def _words(config) -> list[str]:
    """The command line of a config: what differs from the defaults."""
    usual = config_fields.flattened(default.get_config())
    differs = {
        name: value
        for name, value in config_fields.flattened(config).items()
        if value != usual[name]
    }
    return [
        "main.py",
        "--config=configs/default.py",
        *(f"--config.{name}={differs[name]}" for name in differs),
    ]


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """Weights of a small teacher with other statistics and another size than the students."""
    folder = tmp_path_factory.mktemp("teacher")
    stats = {"model.mean": (0.3, 0.3, 0.3), "model.std": (0.2, 0.2, 0.2), "model.image_size": 24}
    done = run_program(*_words(_run_config(images, **stats)), f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    return folder / "weights.safetensors"


def _student(images, trained, **fields):
    return _run_config(
        images, **{"distill.teacher": "vit_n_8", "distill.weights": str(trained), **fields}
    )


def _records(folder) -> list[dict]:
    return [record for record in metrics_reader.read_metrics(folder) if record["split"] == "train"]


def _distillation(folder) -> list[float]:
    return [record["distillation"] for record in _records(folder)]


def test_a_student_by_the_command_line(images, trained, tmp_path):
    """The weights file of one run is the teacher of the next."""
    done = run_program(*_words(_student(images, trained)), f"--workdir={tmp_path / 'student'}")
    assert done.returncode == 0, done.stderr
    assert "distilled from vit_n_8, soft, T 3, share 0.5" in done.stdout
    assert "teacher: vit_n_8 at 24 px" in done.stdout
    values = _distillation(tmp_path / "student")
    assert np.mean(values[-3:]) < 0.5 * values[0]
    noted = json.loads((tmp_path / "student" / "environment.json").read_text())["teacher"]
    assert noted == {"model": "vit_n_8", "source": str(trained), "sha256": sha256(trained)}
    assert not (tmp_path / "student" / "pretrained.json").exists()
    names = models.create("vit_n_8", image_size=16, num_classes=3).state_dict().keys()
    assert read_safetensors(tmp_path / "student" / "weights.safetensors")[0].keys() == names


@pytest.mark.parametrize(
    "fields",
    [
        {"distill.kind": "hard"},
        {"rdrop.copies": 1},
        {"rdrop.copies": 1, "distill.kind": "hard", "distill.alpha": 1.0},
        {"model.name": "vit_n_8_distilled"},
        {"data.labels_per_class": 8, "rdrop.unlabelled_batch_size": 4, "data.mixup_alpha": 0.2},
        pytest.param({"model.name": "resnet_18", "model.image_size": 32}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_students_come_closer_to_their_teacher(images, trained, tmp_path, fields):
    config = _student(images, trained, **fields)
    config_validation.validate(config)
    assert single_run.train(config, tmp_path / "run") == exits.DONE
    values = _distillation(tmp_path / "run")
    assert np.mean(values[-3:]) < 0.7 * values[0]
    assert all(
        ("kl" in record) == (config.rdrop.copies > 1) for record in _records(tmp_path / "run")
    )


def test_a_convolutional_teacher(images, tmp_path):
    """One with batch norms, statistics of its own, and another size."""
    config = resolve_config.with_input(
        _run_config(images, **{"model.name": "resnet_18", "model.image_size": 32})
    )
    config = resolve_config.with_classes(config, 3)
    paddle.seed(0)
    arrays = run_weights.arrays_of(models.build(config.model))
    arrays["fc.weight"] *= 20  # opinions to be learned
    run_weights.save(
        tmp_path / "cnn.safetensors", arrays, config, ("class_0", "class_1", "class_2")
    )
    student = _student(
        images, tmp_path / "cnn.safetensors", **{"distill.teacher": "resnet_18", "train.steps": 12}
    )
    assert single_run.train(student, tmp_path / "run") == exits.DONE
    values = _distillation(tmp_path / "run")
    assert np.mean(values[-3:]) < 0.7 * values[0]


def test_the_same_bits_after_a_stop_and_the_same_teacher(images, trained, tmp_path, monkeypatch):
    own = tmp_path / "teacher.safetensors"
    own.write_bytes(trained.read_bytes())
    config = _student(
        images, own, **{"train.steps": 8, "train.batch_size": 6, "train.accumulation_steps": 2}
    )
    single_run.train(config, tmp_path / "whole")
    for folder in ("cut", "other"):
        steps = iter([False] * 3 + [True] + [False] * 99)
        monkeypatch.setattr(StopRequest, "agreed", lambda self, steps=steps: next(steps))
        assert single_run.train(config, tmp_path / folder) == exits.STOPPED
    assert single_run.train(config, tmp_path / "cut") == exits.DONE
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert files[0] == files[1]
    assert _distillation(tmp_path / "whole") == _distillation(tmp_path / "cut")
    stored = run_weights.read(own)
    arrays = {**stored.arrays, "head.bias": stored.arrays["head.bias"] + 1}
    run_weights.save(own, arrays, stored.config, stored.classes)
    with pytest.raises(UserError, match="is not the file any more that the run was distilled from"):
        single_run.train(config, tmp_path / "other")


def _split(images, trained, batch: int, accumulation: int, **fields):
    sizes = {"train.batch_size": batch, "train.accumulation_steps": accumulation, "train.steps": 3}
    optim = {"optim.name": "momentum", "optim.warmup_steps": 0}
    return _student(images, trained, **sizes, **optim, **fields)


@pytest.mark.parametrize("name", ["vit_n_8", "vit_n_8_distilled"])
def test_any_accumulation_gives_the_same_weights_to_rounding(images, trained, tmp_path, name):
    for batch, accumulation in ((12, 1), (4, 3)):
        config = _split(images, trained, batch, accumulation, **{"model.name": name})
        single_run.train(config, tmp_path / str(batch))
    whole, split = (
        read_safetensors(tmp_path / folder / "weights.safetensors")[0] for folder in ("12", "4")
    )
    for key, value in whole.items():
        np.testing.assert_allclose(split[key], value, atol=1e-6, err_msg=key)


@pytest.mark.slow
def test_two_processes_give_the_same_weights_to_rounding(images, trained, tmp_path):
    config = _split(images, trained, 12, 1, **{"model.name": "vit_n_8_distilled"})
    single_run.train(config, tmp_path / "whole")
    config.train.batch_size = 6
    done = launch(2, tmp_path / "log", *_words(config), f"--workdir={tmp_path / 'split'}")
    assert done.returncode == 0, done.stdout[-3000:]
    whole, split = (
        read_safetensors(tmp_path / folder / "weights.safetensors")[0]
        for folder in ("whole", "split")
    )
    for key, value in whole.items():
        np.testing.assert_allclose(split[key], value, atol=1e-6, err_msg=key)


def test_a_dry_run_with_the_weights_at_hand_and_without(images, trained, capsys):
    assert dry_run.dry_run({"": _student(images, trained)}) == 0
    text = capsys.readouterr().out
    assert "teacher: vit_n_8 at 24 px" in text
    assert "distillation " in text.splitlines()[-1]
    absent = {"distill.teacher": "deit_ti", "distill.weights": "timm/deit_tiny_patch16_224.fb_in1k"}
    assert (
        dry_run.dry_run({"": _student(images, trained, **absent, **{"distill.head": "imagenet"})})
        == 0
    )
    text = capsys.readouterr().out
    assert "are not here yet: fresh ones in their place in a dry run" in text
    assert "teacher: deit_ti at 224 px" in text
    with pytest.raises(UserError, match="needs distill.weights"):
        dry_run.dry_run({"": _student(images, "")})
