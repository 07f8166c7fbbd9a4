"""Rows of `test_bad_input.py`: files of weights."""

import os

import bad_files as bad
import numpy as np
from bad_files import LONG, VAL, copied, cut_short, made, nothing, own_field, weights

WEIGHTS = {
    **{
        f"{kind}-as-{ending[1:]}": (
            made(bad.write, f"weights{ending}", content),
            f"val.py --config=configs/digits_rdrop.py --weights={{t}}/weights{ending}",
            "not a readable weights file",
        )
        for ending in (".safetensors", ".pdparams", ".pth", ".pt", ".bin", ".npz")
        for kind, content in {
            "nothing": b"",
            "text": b"hello world",
            "page": b"<!DOCTYPE html>" * 9,
        }.items()
    },
    "missing": (nothing, VAL, "no such weights file"),
    "accuracy-is-nan": (
        copied,
        f"{VAL} --expect_top1=nan",
        "--expect_top1 is nan, expected 0 to 1",
    ),
    "result-into-a-pipe": (
        lambda place, run: (copied(place, run), os.mkfifo(place / "pipe")),
        f"{VAL} --json={{t}}/pipe",
        "pipe is a device or a pipe",
    ),
    "result-into-a-device": (copied, f"{VAL} --json=/dev/null", "/dev/null is a device or a pipe"),
    "not-given": (nothing, "val.py", "weights"),
    "given-a-folder": (nothing, "val.py --weights={t}", "is an empty folder"),
    "name-too-long": (nothing, f"val.py --weights=/{LONG}.safetensors", "File name too long"),
    "cut-short": (
        cut_short("weights.safetensors", copied),
        VAL,
        "not a readable safetensors file",
    ),
    "plain-without-a-config": (
        weights(lambda arrays, own: own.pop("config")),
        VAL,
        "does not carry a config",
    ),
    "of-a-newer-format": (
        weights(lambda arrays, own: own.update(format=2)),
        VAL,
        "this version reads 1",
    ),
    "field-unknown": (
        own_field("optim", "warmth", 1),
        VAL,
        "optim.warmth, which this version does not know",
    ),
    "field-of-another-type": (own_field("optim", "lr", "high"), VAL, "expected such as 0.001"),
    "field-of-400-digits": (own_field("optim", "lr", 10**400), VAL, "expected such as 0.001"),
    "field-is-a-group": (own_field("optim", "lr", {"peak": 1}), VAL, "expected such as 0.001"),
    "group-is-a-field": (
        weights(lambda arrays, own: own["config"].update(model=None)),
        VAL,
        "model is no group of fields",
    ),
    "config-is-a-list": (
        weights(lambda arrays, own: own.update(config=[1])),
        VAL,
        "not an object",
    ),
    "std-is-zero": (own_field("model", "std", [0, 0, 0]), VAL, "config.model.std is"),
    "std-is-missing": (
        own_field("model", "std", []),
        "tools.predict --weights {t}/weights.safetensors a",
        "lacks the",
    ),
    "size-astronomical": (own_field("model", "image_size", 10**9), VAL, "at most 16,384"),
    "of-an-unknown-model": (own_field("model", "name", "vit_q"), VAL, "'vit_q' is not known"),
    "of-another-model": (own_field("model", "name", "vit_n_4"), VAL, "have other shapes"),
    "classes-missing": (
        weights(lambda arrays, own: own.pop("classes")),
        VAL,
        "not a list of names",
    ),
    "classes-turned": (
        weights(lambda arrays, own: own["classes"].reverse()),
        VAL,
        "class 0 of the data is '0', but",
    ),
    "classes-too-few": (
        weights(lambda arrays, own: own["classes"].pop()),
        VAL,
        "expected the 9 classes that it names",
    ),
    "array-missing": (
        weights(lambda arrays, own: arrays.pop("norm.weight")),
        VAL,
        "are missing: norm.weight",
    ),
    "array-too-many": (
        weights(lambda arrays, own: arrays.update(x=np.zeros(3, "float32"))),
        VAL,
        "do not belong to the model: x",
    ),
    "array-is-nan": (
        weights(lambda arrays, own: arrays["norm.weight"].fill(np.nan)),
        VAL,
        "not finite",
    ),
    "head-of-other-classes": (
        weights(lambda arrays, own: arrays.update({"head.weight": np.zeros((48, 5), "float32")})),
        VAL,
        "head.weight",
    ),
    "of-other-data": (
        lambda place, run: (copied(place, run), bad.images(place)),
        f"{VAL} --config.data.name=folder --config.data.root={{t}}/images",
        "the data has 2 classes",
    ),
    "json-over-them": (
        copied,
        f"{VAL} --json={{t}}/weights.safetensors",
        "is an input, which would be lost",
    ),
    "json-is-a-folder": (copied, f"{VAL} --json={{t}}", "is a folder; give the name of a file"),
    "json-not-writable": (copied, f"{VAL} --json=/proc/a/b.json", "can't be written"),
    "one-of-several-missing": (
        copied,
        f"{VAL} --weights={{t}}/absent.safetensors",
        "absent.safetensors: no such weights file",
    ),
    "pattern-of-nothing": (nothing, "val.py --weights={t}/*.pth", "fits no file and no folder"),
    "confusion-of-several": (
        copied,
        f"{VAL},{{run}} --confusion={{t}}/c.csv",
        "is of one file of weights",
    ),
    "confusion-over-the-weights": (
        copied,
        f"{VAL} --confusion={{t}}/weights.safetensors",
        "is an input, which would be lost",
    ),
    "other-images-missing": (
        copied,
        f"{VAL} --data_root={{t}}/absent",
        "absent is not a folder, nor an archive",
    ),
    "other-images-of-other-classes": (
        lambda place, run: (copied(place, run), bad.images(place)),
        f"{VAL} --data_root={{t}}/images",
        "the data has 2 classes",
    ),
    "another-model": (copied, f"{VAL} --model=deit_ti", "is of the model vit_n_2"),
    "all-parts-of-no-files": (copied, f"{VAL} --split=all", "digits has none"),
    "of-another-library-without-images": (
        weights(lambda arrays, own: own.pop("config")),
        f"{VAL} --model=vit_n_2",
        "data.root",
    ),
    "split-misspelt": (copied, f"{VAL} --split=tes", "--split=tes"),
    "expectation-in-percent": (copied, f"{VAL} --expect_top1=93", "--expect_top1=93"),
    "no-split-was-held-out": (
        copied,
        f"{VAL} --split=val --config.data.holdout=0.0",
        "split val has no images",
    ),
}
