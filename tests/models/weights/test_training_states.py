"""The model in a training state of any framework is found, and what was decided is said."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import functools
import os
import pathlib
import pickle

import numpy as np
import pytest

import models
from common.errors import UserError
from models.weights.formats.prefixes import networks
from models.weights.formats.stored import read_outline, read_stored

_NAMES = (
    "cls_token",
    "pos_embed",
    "patch_embed.proj.weight",
    "blocks.0.attn.qkv.weight",
    "norm.weight",
    "head.weight",
    "head.bias",
)


def _vit(value: float = 1, prefix: str = "", names=_NAMES) -> dict[str, np.ndarray]:
    return {prefix + name: np.full(2, value, np.float32) for name in names}


def _read(tmp_path, content: object, part: str = "", name: str = "w.pdparams"):
    (tmp_path / name).write_bytes(pickle.dumps(content, 4))
    return read_stored(tmp_path / name, part)


def _value(stored) -> float:
    assert sorted(stored.arrays) == sorted(_NAMES)
    return float(stored.arrays["cls_token"][0])


@pytest.mark.parametrize(
    "keys",
    [
        ("state_dict",),
        ("model_state",),
        ("net",),
        ("ema_state_dict",),
        ("state", "model"),
        ("ema", "module"),
        ("my own word",),
        (0,),
    ],
)
def test_the_model_lies_under_any_key(tmp_path, keys):
    state = _vit()
    for key in reversed(keys):
        state = [state] if key == 0 else {key: state, "epoch": 3}
    moments = {number: {"exp_avg": np.ones(9), "step": 3} for number in range(30)}
    state = {"whole": state, "optimizer": {"state": moments, "param_groups": [{"lr": 0.1}]}}
    stored = _read(tmp_path, {**state, "scheduler": {"last_epoch": 1}, "best": np.float64(0.7)})
    assert _value(stored) == 1
    assert stored.names == ()
    place = ".".join(map(str, ("whole", *keys)))
    assert stored.said == (f"the model is its entry {place!r}",)


def test_weights_that_an_optimiser_keeps_are_not_the_model(tmp_path):
    more = {f"{name}.{number}": one for name, one in _vit(9).items() for number in range(9)}
    for key in ("optimizer", "optimizer_states", "optim", "opt", "master_weights", "callbacks"):
        stored = _read(tmp_path, {"net": _vit(), key: {"groups": [more]}, "scaler": more})
        assert (_value(stored), stored.names) == (1, ())
    for key in ("optimal", "options", "optimus"):  # words that only begin alike
        assert _value(_read(tmp_path, {key: _vit()})) == 1


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("state_dict_ema", "state_dict"),
        ("model_ema", "model"),
        ("ema", "model"),
        ("swa_model", "net"),
        ("averaged", "weights"),
        ("teacher", "student"),
        ("target_encoder", "encoder"),
        ("encoder", "momentum_encoder"),
        ("state_dict", "model"),
        ("modelEMA", "model"),
        ("weights_ema", "weights"),
    ],
)
def test_one_of_two_models_is_taken_and_both_are_said(tmp_path, taken, left):
    for first, second in ((taken, left), (left, taken)):
        content = {first: _vit(first == taken), second: _vit(second == taken), "epoch": 1}
        stored = _read(tmp_path, content)
        assert _value(stored) == 1
        assert stored.said[0] == f"took {taken}, not {left} (FILE#{left} takes that)"
        assert stored.names == (left,)
        other = _read(tmp_path, content, left)
        assert _value(other) == 0
        assert other.names == (taken,)


def test_a_part_is_named_by_its_place_or_by_a_word_of_it(tmp_path):
    content = {"model": _vit(1), "ema": {"module": _vit(2), "decay": 0.9}}
    assert _value(_read(tmp_path, content)) == 2
    for part, value in (("model", 1), ("ema.module", 2), ("ema", 2), ("module", 2)):
        assert _value(_read(tmp_path, content, part)) == value
    with pytest.raises(UserError, match=r"has no part 'emma'; known: ema.module, model"):
        _read(tmp_path, content, "emma")
    twins = {"a": {"net": _vit(1)}, "b": {"net": _vit(2)}}
    with pytest.raises(UserError, match=r"has no part 'net'; did you mean 'a\.net' or 'b\.net'"):
        _read(tmp_path, twins, "net")
    with pytest.raises(UserError, match=r"it holds one model; give it without #ema"):
        _read(tmp_path, _vit(), "ema")


@pytest.mark.parametrize(
    ("prefixes", "taken"),
    [
        (("Student.", "Teacher."), "Student"),
        (("student.", "teacher."), "teacher"),
        (("module.base_encoder.", "module.momentum_encoder."), "module.base_encoder"),
        (("student.backbone.", "teacher.backbone."), "teacher.backbone"),
        (("model.", "ema_model."), "ema_model"),
    ],
)
def test_two_models_in_one_dict(tmp_path, prefixes, taken):
    one, other = prefixes
    for content in (
        {**_vit(1, one), **_vit(2, other)},
        {"state_dict": {**_vit(2, other), **_vit(1, one)}},
    ):
        stored = _read(tmp_path, content)
        assert _value(stored) == (1 if f"{taken}." == one else 2)
        left = (other if f"{taken}." == one else one).strip(".")
        assert any(taken in said and left in said for said in stored.said)
        assert _value(_read(tmp_path, content, left)) == (2 if f"{taken}." == one else 1)


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_layers.",
        "model.",
        "backbone.",
        "encoder.",
        "vit.",
        "0.",
        "a.b.c.",
    ],
)
def test_any_common_prefix_is_taken_off(tmp_path, prefix):
    stored = _read(tmp_path, _vit(1, prefix))
    assert _value(stored) == 1
    words = "module._orig_mod." if prefix == "" else prefix.replace("_orig_mod.", "")
    assert not words or any(repr(words) in said for said in stored.said)
    assert "_orig_mod" not in prefix or "_orig_mod" in stored.said[0]


def test_words_of_wrappers_within_names(tmp_path):
    names = [name.replace("blocks.0.", "blocks.0._checkpoint_wrapped_module.") for name in _NAMES]
    assert _value(_read(tmp_path, _vit(1, "_fsdp_wrapped_module.", names))) == 1


def test_what_lies_beside_the_body(tmp_path):
    body = [name for name in _NAMES if not name.startswith("head.")]
    for head in ("head", "fc", "classifier", "head.fc", "mlp_head.1", "heads.head"):
        beside = {f"{head}.weight": np.ones(2), f"{head}.bias": np.ones(2)}
        stored = _read(tmp_path, {**_vit(1, "backbone.", body), **beside})
        assert _value(stored) == 1
        assert head == "head" or any(f"{head}.weight was taken" in said for said in stored.said)
    linear = {"weight": np.ones(2), "bias": np.ones(2)}
    for head in ("head", "classifier"):
        for key in ("backbone", "model"):
            stored = _read(tmp_path, {"a": {key: _vit(1, "", body), head: linear}, "epoch": 1})
            assert _value(stored) == 1
    two = {f"{head}.{leaf}": np.ones(2) for head in ("fc", "head") for leaf in ("weight", "bias")}
    stored = _read(tmp_path, {**_vit(1, "backbone.", body), **two})
    assert _value(stored) == 1
    assert "left out what lies beside the model: fc.weight, fc.bias" in stored.said
    dino = {f"module.head.mlp.{number}.weight": np.ones(2) for number in range(5)}
    stored = _read(tmp_path, {**_vit(1, "module.backbone.", body), **dino})
    assert sorted(stored.arrays) == sorted(body)
    stray = {"n_averaged": np.int64(3), "criterion.weight": np.ones(3)}
    stored = _read(tmp_path, {**_vit(1, "module."), **stray})
    assert _value(stored) == 1
    assert "left out what lies beside the model: n_averaged, criterion.weight" in stored.said


@pytest.mark.parametrize(
    "names",
    [
        (
            "vit.embeddings.cls_token",
            "vit.encoder.layer.0.output.dense.weight",
            "classifier.weight",
        ),
        ("vit.embeddings.cls_token", "vit.layers.0.mlp.fc1.weight", "vit.layernorm.weight"),
        ("embeddings.cls_token", "encoder.layer.0.output.dense.weight", "layernorm.weight"),
        ("class_token", "conv_proj.weight", "encoder.layers.encoder_layer_0.ln_1.weight"),
        ("visual.conv1.weight", "visual.transformer.resblocks.0.ln_1.weight", "ln_final.weight"),
        ("transformer.embeddings.cls_token", "transformer.encoder.layer.0.ffn.fc1.weight"),
        ("patch_embedding.cls_token", "encoder.layers.0.mlp.fc1.weight", "classifier.weight"),
        ("vision_model.embeddings.class_embedding", "vision_model.encoder.layers.0.mlp.fc1.bias"),
        ("features.0.0.weight", "features.1.0.attn.qkv.weight", "norm.weight", "head.weight"),
        ("blocks.0.norm1.weight", "blocks.1.norm1.weight"),
        ("layers.0.weight", "layers.1.weight"),
        ("Transformer/encoder_norm/scale", "Transformer/encoderblock_0/LayerNorm_0/scale"),
    ],
)
def test_the_names_of_libraries_stay(tmp_path, names):
    """Also below the prefix of a wrapper, which is taken off."""
    assert sorted(_read(tmp_path, _vit(1, "", names)).arrays) == sorted(names)
    if "/" not in names[0]:
        stored = _read(tmp_path, {"state_dict": _vit(1, "module.", names)})
        assert sorted(stored.arrays) == sorted(names)


@pytest.mark.parametrize("name", ["vit_n_2", "resnet_18", "levit_128s", "t2t_vit_7", "swin_ti"])
def test_the_names_of_this_project_stay(name):
    """In the wrapper of a script, too."""
    arrays = dict.fromkeys(models.create(name, num_classes=2).state_dict())
    for prefix in ("", "module.", "model._orig_mod."):
        (found,) = networks({prefix + one: None for one in arrays})
        assert found.arrays == arrays
        assert bool(found.said) == bool(prefix)


class _Mode(enum.Enum):
    TRAIN = 1


class _Config(dict):
    """A config with attributes, as many libraries have."""


_HYPER = {
    "path": pathlib.PurePosixPath("data"),
    "namespace": argparse.Namespace(lr=1, out=pathlib.PurePosixPath("out")),
    "config": _Config({"MODEL": _Config({"DEPTH": 4})}),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "counter": collections.Counter("aab"),
    "numpy": (np.float64(0.7), np.dtype("float32"), np.random.RandomState(0).get_state()),
    "objects": np.array([None, "a"], object),
    "texts": np.array(["a", "bc"]),
    "date": (datetime.datetime(2024, 1, 2), datetime.timedelta(seconds=5)),
    "sets": {"set": {"a", "b"}, "range": range(3), "slice": slice(0, 2), "complex": 1j},
    "keys": {_Mode.TRAIN: 1, (1, (2, 3)): 4, "enums": {_Mode.TRAIN}},
    "partial": functools.partial(print, 1),
    "function": np.linalg.norm,
    "class": _Config,
    "method": "x".upper,
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("hyper", _HYPER.values(), ids=list(_HYPER))
def test_objects_of_any_class_do_no_harm(tmp_path, hyper, protocol):
    content = {"state_dict": _vit(), "hyper_parameters": hyper, "hparams_name": "x"}
    (tmp_path / "w.ckpt").write_bytes(pickle.dumps(content, protocol))
    assert _value(read_stored(tmp_path / "w.ckpt")) == 1


class _Call:
    """A pickle that calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


def test_nothing_runs_whatever_it_is_called(tmp_path):
    witness = tmp_path / "ran"
    for function, arguments in (
        (os.system, (f"touch {witness}",)),
        (exec, (f"open({str(witness)!r}, 'w')",)),
        (eval, (f"open({str(witness)!r}, 'w')",)),
        (__import__, ("os",)),
    ):
        with pytest.raises(UserError, match="asks to run .*: it is refused"):
            _read(tmp_path, {"model": _vit(), "args": _Call(function, *arguments)})
    stored = _read(tmp_path, {"model": _vit(), "args": _Call(pathlib.Path.touch, witness)})
    assert _value(stored) == 1
    assert not witness.exists()


def test_a_tensor_of_a_static_program_of_paddle(tmp_path):
    arrays = {name: _Call(eval, "data", {"data": value}) for name, value in _vit().items()}
    assert _value(_read(tmp_path, arrays)) == 1


def test_tensors_that_paddle_names(tmp_path):
    arrays = {name: (f"parameter_{name}", value) for name, value in _vit().items()}
    assert _value(_read(tmp_path, {**arrays, "StructuredToParameterName@@": {"a": "b"}})) == 1


class _Model:
    """Somebody's model, pickled as a whole."""

    def __init__(self):
        self.arrays = _vit()


@pytest.mark.parametrize("content", [_Model(), {"model": _Model(), "epoch": 3}, {"a": [_Model()]}])
def test_a_whole_pickled_model(tmp_path, content):
    with pytest.raises(UserError, match=r"no weights|save the weights alone: .*state_dict"):
        _read(tmp_path, content)
    assert _value(_read(tmp_path, {"whole": content, "state_dict": _vit()})) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"optimizer": {"state": {0: {"exp_avg": np.ones(3)}}}, "epoch": 3}, "thus no weights"),
        ({"state": {0: {"exp_avg": np.ones(3)}}, "param_groups": []}, "an optimiser's state"),
        ({"w_moment1_0": np.ones(3), "w_beta1_pow_acc_0": np.ones(1)}, r"such as w\.pdparams"),
        ({"last_epoch": 3, "base_lrs": [0.1]}, "a learning-rate schedule's state"),
        ({"scale": 65536.0, "growth_factor": 2.0}, "a loss scaler's state"),
        ({"python": (1,), "numpy": (2,), "cpu": np.ones(3)}, "random states"),
        ([1, 2], "holds a list"),
        (np.ones(3), "holds a single array"),
        ({}, "an empty dict"),
    ],
)
def test_states_without_a_model(tmp_path, content, words):
    with pytest.raises(UserError, match=words):
        _read(tmp_path, content)


def test_an_object_where_an_array_should_be(tmp_path):
    for odd in (_Model(), np.array([None], object)):
        with pytest.raises(UserError, match=r"'norm\.weight' is an .*no array of numbers"):
            _read(tmp_path, {**_vit(), "norm.weight": odd})
    stored = _read(tmp_path, {**_vit(), "extra_state": _Model()})
    assert _value(stored) == 1
    assert "left out what is no array: extra_state" in stored.said


def test_the_outline_has_shapes_and_no_values(tmp_path):
    content = {"model": _vit(), "ema": _vit(2)}
    stored = _read(tmp_path, content)
    outline = read_outline(tmp_path / "w.pdparams")
    assert (outline.said, outline.names, outline.kind) == (stored.said, stored.names, stored.kind)
    for name, array in stored.arrays.items():
        assert (outline.arrays[name].shape, outline.arrays[name].dtype) == (
            array.shape,
            array.dtype,
        )
        assert outline.arrays[name].strides == (0,)
