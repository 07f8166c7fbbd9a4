"""Pretrained weights in a run: head, statistics of images, and the report in the run's folder."""

from __future__ import annotations

import json

import pytest
from conftest import run_program

import models
from common.errors import UserError
from common.reading import sha256
from configs import default
from engine.commands import dry_run, single_run
from engine.model_setup import build_model, load_pretrained
from engine.plan import resolve_config
from engine.state.run_weights import arrays_of
from models.weights.names import layouts

_INPUT = {
    "mean": [0.1, 0.2, 0.3],
    "std": [0.4, 0.5, 0.6],
    "crop_fraction": 0.8,
    "interpolation": "bilinear",
}
_WNIDS = ("n01443537", "n02124075", "n12768682")


@pytest.fixture
def wnid_folder(painted):
    """Images of three classes named by WordNet ids."""
    for part in ("train", "test"):
        for folder, name in zip(sorted((painted / part).iterdir()), _WNIDS):
            folder.rename(folder.with_name(name))
    return painted


@pytest.fixture
def imagenet_weights(tmp_path):
    """Weights for the 1000 classes of ImageNet that say what they expect of images."""
    model = models.create("vit_n_8", image_size=16, num_classes=1000)
    models.write_arrays(
        tmp_path / "weights.safetensors", arrays_of(model), {"format": 1, "input": _INPUT}
    )
    return tmp_path / "weights.safetensors"


def _config(root, weights, **model):
    config = default.get_config()
    config.data.update(name="folder", root=str(root))
    config.model.update(
        name="vit_n_8", image_size=32, drop_rate=0.1, pretrained=str(weights), **model
    )
    config.train.update(steps=2, batch_size=4)
    return config


def test_a_run(wnid_folder, imagenet_weights, tmp_path):
    folder = tmp_path / "run"
    assert (
        single_run.train(_config(wnid_folder, imagenet_weights, pretrained_head="imagenet"), folder)
        == 0
    )
    report = json.loads((folder / "pretrained.json").read_text())
    assert report["source"] == str(imagenet_weights)
    assert report["sha256"] == sha256(imagenet_weights)
    assert report["resized"] == ["pos_embed"]
    assert report["dropped"] == report["initialised"] == report["unexpected"] == []
    assert len(report["loaded"]) == len(models.create("vit_n_8").state_dict()) - 1
    used = json.loads((folder / "config.json").read_text())
    assert (used["model"]["mean"], used["model"]["std"]) == (_INPUT["mean"], _INPUT["std"])
    assert (used["data"]["eval_crop"], used["data"]["interpolation"]) == (0.8, "bilinear")
    # What was trained expects the same, as a file and in the next run that starts from it.
    assert (
        list(models.input_stats("vit_n_8", str(folder / "weights.safetensors")).mean)
        == _INPUT["mean"]
    )
    single_run.train(_config(wnid_folder, "", pretrained_head="imagenet"), folder, overwrite=True)
    assert not (folder / "pretrained.json").exists()


def test_the_head_by_config(wnid_folder, imagenet_weights):
    """The rows of the head for the data's classes, or a new head; auto: new for another number."""
    whole, _ = models.read_arrays(imagenet_weights)
    heads = {}
    for choice in ("imagenet", "new", "auto"):
        config = resolve_config.with_classes(
            resolve_config.with_input(
                _config(wnid_folder, imagenet_weights, pretrained_head=choice)
            ),
            3,
        )
        model = build_model(config)
        fresh = model.head.weight.numpy()
        report = load_pretrained(model, config, _WNIDS)
        heads[choice] = model.head.weight.numpy()
        assert (report["initialised"] == []) == (choice == "imagenet")
        assert (heads[choice] == fresh).all() == (choice != "imagenet")
    assert (heads["imagenet"] == whole["head.weight"][:, list(models.imagenet_rows(_WNIDS))]).all()


@pytest.mark.parametrize(
    ("head", "head_init", "said"),
    [
        ("imagenet", "zero", "model.head_init=zero has no use: the weights' own head is kept"),
        ("imagenet", "normal", ""),
        ("new", "zero", ""),
    ],
)
def test_a_new_head_that_is_not_wanted(wnid_folder, imagenet_weights, head, head_init, said):
    config = _config(wnid_folder, imagenet_weights, pretrained_head=head, head_init=head_init)
    config = resolve_config.with_classes(resolve_config.with_input(config), 3)
    texts = load_pretrained(build_model(config), config, _WNIDS)["said"]
    assert [text for text in texts if "head_init" in text] == [
        text for text in texts if said and text.startswith(said)
    ]
    assert any(said in text for text in texts) or not said


def test_classes_that_are_none_of_imagenets(painted, imagenet_weights, tmp_path):
    with pytest.raises(UserError, match="are no WordNet ids"):
        single_run.train(
            _config(painted, imagenet_weights, pretrained_head="imagenet"), tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_what_is_set_comes_before_what_the_weights_say(wnid_folder, imagenet_weights):
    config = _config(wnid_folder, imagenet_weights, mean=(0.0, 0.0, 0.0))
    config.data.interpolation = "bicubic"
    resolved = resolve_config.with_input(config)
    assert resolved.model.mean == (0.0, 0.0, 0.0)
    assert resolved.model.std == (0.4, 0.5, 0.6)
    assert resolved.data.interpolation == "bicubic"


def test_the_statistics_reach_the_model(wnid_folder, imagenet_weights, tmp_path):
    """Images of another mean give other logits: it is not only written down."""
    outputs = []
    for mean in ((), (0.9, 0.9, 0.9)):
        config = _config(wnid_folder, imagenet_weights, mean=mean)
        config.rdrop.copies = 1
        config.optim.update(name="sgd", lr=0.0)
        single_run.train(config, tmp_path / str(len(outputs)))
        outputs.append(
            json.loads((tmp_path / str(len(outputs)) / "result.json").read_text())["loss"]
        )
    assert outputs[0] != outputs[1]


def test_a_foreign_file_in_the_accuracy_check(wnid_folder, imagenet_weights, tmp_path):
    """timm's names and layout, without a config of ours; and a head for other classes."""
    model = models.create("vit_n_8", image_size=32, num_classes=3)
    theirs = layouts.to_timm(model, arrays_of(model))
    wrapped = {f"module.{name}": array for name, array in theirs.items()}
    models.write_arrays(tmp_path / "timm.pth", wrapped, None)
    (tmp_path / "config.py").write_text(
        "from configs import default\n\n\ndef get_config():\n    config = default.get_config()\n"
        f"    config.data.update(name='folder', root={str(wnid_folder)!r})\n"
        "    config.model.update(name='vit_n_8', image_size=32)\n    return config\n"
    )
    words = ["val.py", f"--config={tmp_path / 'config.py'}", f"--json={tmp_path / 'out.json'}"]
    done = run_program(*words, f"--weights={tmp_path / 'timm.pth'}")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["seen"] > 0
    assert "weights: the prefix 'module.' was taken off the names\n" in done.stdout
    done = run_program(*words, f"--weights={imagenet_weights}")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "has no head.weight of shape [48, 3]; was it made for other classes?" in done.stderr


def test_a_dry_run_with_the_weights_at_hand_and_without(wnid_folder, imagenet_weights, capsys):
    assert (
        dry_run.dry_run({"": _config(wnid_folder, imagenet_weights, pretrained_head="imagenet")})
        == 0
    )
    assert "dropped head" in capsys.readouterr().out
    assert (
        dry_run.dry_run({"": _config(wnid_folder, "timm/vit_base_patch16_224.augreg_in21k")}) == 0
    )
    assert "are not here yet: not loaded in a dry run" in capsys.readouterr().out
    with pytest.raises(UserError, match="absent.pth: no such weights file"):
        dry_run.dry_run({"": _config(wnid_folder, "absent.pth")})
    with pytest.raises(UserError, match="only https"):
        dry_run.dry_run({"": _config(wnid_folder, "http://host/weights.pth")})


@pytest.fixture
def dinov2_folder(tmp_path):
    """A folder of timm's: LayerScale and a prefix in the file, QuickGELU in `config.json`."""
    model = models.create("vit_n_8", image_size=32, num_classes=3, layer_scale=1e-5)
    arrays = {
        f"module.{name}": one for name, one in layouts.to_timm(model, arrays_of(model)).items()
    }
    (tmp_path / "weights").mkdir()
    models.write_arrays(tmp_path / "weights" / "model.safetensors", arrays, None)
    pixels = {"mean": _INPUT["mean"], "std": _INPUT["std"], "crop_pct": 1.0}
    stated = {
        "num_features": 48,
        "model_args": {"act_layer": "quick_gelu"},
        "pretrained_cfg": pixels,
    }
    (tmp_path / "weights" / "config.json").write_text(json.dumps(stated))
    return tmp_path / "weights"


def test_model_and_parts_are_those_of_the_weights(painted, dinov2_folder, tmp_path, capsys):
    folder = tmp_path / "run"
    config = _config(painted, dinov2_folder)
    config.model.name = "auto"
    assert single_run.train(config, folder) == 0
    used = json.loads((folder / "config.json").read_text())["model"]
    assert (used["name"], used["mean"]) == ("vit_n_8", _INPUT["mean"])
    assert used["parts"] == "layer_scale=1e-05,activation=quick_gelu"
    report = json.loads((folder / "pretrained.json").read_text())
    assert "blocks.3.ls2.gamma" in report["loaded"]
    assert len(report["sha256"]) == 64
    said = capsys.readouterr().out
    assert "the prefix 'module.'" in said
    assert "quick_gelu: as config.json says" in said
    assert "model: vit_n_8 with layer_scale=1e-05,activation=quick_gelu at 32 px" in said
    assert single_run.train(config, folder) == 0  # finished: the same config
    done = run_program("val.py", f"--weights={folder}")
    assert done.returncode == 0, done.stderr


def test_parts_that_the_user_wants(painted, dinov2_folder):
    """They count more than what is said of the weights, but not more than their arrays."""
    config = _config(painted, dinov2_folder, parts="auto,activation=gelu")
    config = resolve_config.with_classes(resolve_config.with_input(config), 3)
    assert config.model.parts == "layer_scale=1e-05,activation=gelu"
    load_pretrained(build_model(config), config, _WNIDS)
    config.unlock()
    config.model.parts = ""
    with pytest.raises(UserError, match=r"layer_scale=1e-05 here and 0\.0 in the model"):
        load_pretrained(build_model(config), config, _WNIDS)


def test_pixels_that_nothing_states_are_said(painted, tmp_path):
    model = models.create("vit_n_8", image_size=32, num_classes=3)
    models.write_arrays(tmp_path / "w.pth", layouts.to_timm(model, arrays_of(model)), None)
    config = _config(painted, tmp_path / "w.pth")
    config = resolve_config.with_classes(resolve_config.with_input(config), 3)
    report = load_pretrained(build_model(config), config, _WNIDS)
    assert "nothing says which pixels they expect" in report["said"][-1]
    config = _config(painted, tmp_path / "w.pth", mean=(0.4,) * 3, std=(0.2,) * 3)
    config = resolve_config.with_classes(resolve_config.with_input(config), 3)
    assert "pixels" not in "".join(load_pretrained(build_model(config), config, _WNIDS)["said"])
