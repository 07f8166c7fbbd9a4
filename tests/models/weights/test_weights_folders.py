"""A folder, or the index of a sharded model, is a source of weights like a file."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from common.errors import UserError
from models.weights.formats.stored import read_outline, read_stored


def _save(folder, name: str, value: float = 1, names=("a.weight", "b.weight")) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    save_file({one: np.full(2, value, np.float32) for one in names}, str(folder / name))


def _shards(folder, ending: str = "safetensors", stem: str = "model", **places: str) -> str:
    """Writes two shards and their index; returns the name of the index."""
    names = [f"{stem}-0000{number}-of-00002.{ending}" for number in (1, 2)]
    _save(folder, names[0], 1, ["a.weight"])
    _save(folder, names[1], 2, ["b.weight"])
    places = {"a.weight": names[0], "b.weight": names[1], **places}
    index = f"{stem}.{ending}.index.json"
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["model.safetensors"], 0),
        (["pytorch_model.bin", "config.json", "tf_model.h5"], 0),
        (["pytorch_model.bin", "model.safetensors", "flax_model.msgpack"], 1),
        (["model_state.pdparams", "model.pdopt"], 0),
        (["latest.pdparams", "best_model.pdparams", "epoch_9.pdparams", "latest.pdopt"], 1),
        (["last.pth.tar", "model_best.pth.tar", "checkpoint-3.pth.tar"], 1),
        (["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "mine.pth"], 4),
        (["mine.ckpt", "README.md"], 0),
        (["epoch=1.ckpt", "best-epoch=3.ckpt"], 1),
        (["mp_rank_00_model_states.pt", "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"], 0),
    ],
)
def test_the_weights_of_a_folder(tmp_path, names, taken):
    for number, name in enumerate(names):
        _save(tmp_path, name, number)
    stored = read_stored(tmp_path)
    assert stored.files == (tmp_path / names[taken],)
    assert (stored.arrays["a.weight"] == taken).all()
    assert names[taken] in stored.said[0]


@pytest.mark.parametrize("stem", ["model", "pytorch_model"])
@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_all_shards_are_read(tmp_path, stem, ending):
    index = _shards(tmp_path, ending, stem)
    for path in (tmp_path, tmp_path / index):
        stored = read_stored(path)
        assert {name: array[0] for name, array in stored.arrays.items()} == {
            "a.weight": 1,
            "b.weight": 2,
        }
        assert len(stored.files) == 2
        assert f"read 2 files that {index} names" in stored.said
        assert read_outline(path).arrays.keys() == stored.arrays.keys()


def test_a_pointer_in_place_of_one_of_two(tmp_path):
    _save(tmp_path, "pytorch_model.bin")
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert read_stored(tmp_path).files == (tmp_path / "pytorch_model.bin",)
    _shards(tmp_path)
    assert read_stored(tmp_path).files == (tmp_path / "pytorch_model.bin",)
    (tmp_path / "pytorch_model.bin").unlink()
    assert len(read_stored(tmp_path).files) == 2
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match="Git LFS pointer"):
        read_stored(tmp_path)


def test_the_cache_of_a_repository_of_hugging_face(tmp_path):
    for name in ("blobs", "refs", "snapshots", "snapshots/a", "snapshots/b"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="snapshots/b: the folder is empty"):
        read_stored(tmp_path)
    (tmp_path / "refs" / "main").write_text("a\n")
    _save(tmp_path / "snapshots" / "a", "model.safetensors")
    assert read_stored(tmp_path).files == (tmp_path / "snapshots" / "a" / "model.safetensors",)


def test_shards_in_the_cache_of_hugging_face_are_links(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    _shards(tmp_path / "blobs")
    for path in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(os.path.relpath(path, tmp_path / "snapshot"))
    assert len(read_stored(tmp_path / "snapshot").arrays) == 2


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("../model-00001-of-00002.safetensors", "outside its own folder.*refused"),
        ("/etc/passwd", "outside its own folder"),
        ("below/model.safetensors", "outside its own folder"),
        ("..", "outside its own folder"),
        ("https://example.com/model.safetensors", "outside its own folder"),
        ("C:\\model.safetensors", "outside its own folder"),
        (3, "outside its own folder"),
        (["a"], "outside its own folder"),
        ("model-00003-of-00003.safetensors", "1 of its 3 weights files are missing: model-00003"),
        ("model-00002-of-00002.safetensors", r"lacks 1 arrays that the index says.*c\.weight"),
    ],
)
def test_an_index_that_names_what_it_should_not(tmp_path, place, words):
    index = _shards(tmp_path, **{"c.weight": place})
    for path in (tmp_path, tmp_path / index):
        with pytest.raises(UserError, match=words):
            read_stored(path)


@pytest.mark.parametrize("text", ['{"weight_map": {}}', "[1]", "[" * 99999, '{"weight_map": 3}'])
def test_an_index_that_is_none(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(UserError, match=r"model\.safetensors\.index\.json"):
        read_stored(tmp_path)


def test_arrays_in_two_shards(tmp_path):
    _shards(tmp_path)
    _save(tmp_path, "model-00002-of-00002.safetensors", 2, ["a.weight", "b.weight"])
    with pytest.raises(UserError, match=r"a\.weight are in another part"):
        read_stored(tmp_path)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "the folder is empty"),
        (["config.json"], "has no weights, but config.json"),
        (["a.safetensors", "b.pth"], r"2 weights files: a\.safetensors, b\.pth; give one"),
        (["__0_0.distcp", ".metadata"], "distributed checkpoint.*dcp_to_torch"),
        (["0_0.distcp", "0.metadata"], "distributed checkpoint"),
        (["tf_model.h5", "flax_model.msgpack"], r"no weights that are read, but flax_model.*tf_"),
        (["inference.pdmodel", "inference.pdiparams"], "no weights that are read"),
        (["optimizer.pt", "scheduler.pt"], "a training state without the model: optimizer.pt"),
        (["model.pdopt"], "a training state without the model: model.pdopt"),
        (["adapter_config.json", "adapter_model.safetensors"], "adapter.*merge it"),
        (["model-00001-of-00002.safetensors"], "1 parts of a model.*without the index"),
        (["zero_pp_rank_0_mp_rank_00_model_states.pt"], "DeepSpeed's parts.*zero_to_fp32"),
        (["mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"], "DeepSpeed's parts"),
        (
            ["checkpoint-500/model.safetensors", "checkpoint-1000/model.safetensors"],
            "its folders have: checkpoint-500, checkpoint-1000; give .*checkpoint-1000$",
        ),
        (["best_model/model.pdparams", "latest/model.pdparams"], "give .*best_model$"),
    ],
)
def test_folders_without_a_model(tmp_path, names, words):
    for name in names:
        _save(tmp_path, name)
    with pytest.raises(UserError, match=words):
        read_stored(tmp_path)


def test_one_shard_of_several(tmp_path):
    _shards(tmp_path)
    with pytest.raises(UserError, match=r"one part \(shard 2 of 2\).*give its folder"):
        read_stored(tmp_path / "model-00002-of-00002.safetensors")
    _save(tmp_path, "model-00001-of-00001.safetensors")
    assert len(read_stored(tmp_path / "model-00001-of-00001.safetensors").arrays) == 2


def test_parts_of_distributed_training(tmp_path):
    for name, words in (
        ("zero_pp_rank_0_mp_rank_00_optim_states.pt", "zero_to_fp32"),
        ("bf16_zero_pp_rank_3_mp_rank_00_optim_states.pt", "zero_to_fp32"),
        ("__0_0.distcp", "dcp_to_torch"),
    ):
        (tmp_path / name).write_bytes(pickle.dumps({}))
        with pytest.raises(UserError, match=words):
            read_stored(tmp_path / name)
