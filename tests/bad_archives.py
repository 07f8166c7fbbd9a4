"""Rows of `test_bad_input.py`: archives of data sets, files of weights, and folders of runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import bad_files as bad
import numpy as np
from bad_files import (
    LONG,
    SMALL,
    cifar_file,
    closed,
    config,
    copied,
    cut_short,
    made,
    nothing,
    own_field,
    run_config,
    run_file,
    tiny_with,
    weights,
    zip_in_zip,
)

_CIFAR = f"{SMALL} --config.data.name=cifar10 --config.data.root={{t}}"
_TINY = f"{SMALL} --config.data.name=tiny_imagenet --config.data.root={{t}}/tiny-imagenet-200.zip"
_IMAGENET = f"{SMALL} --config.data.name=imagenet --config.data.root={{t}}/imagenet"
_OWN = f"{SMALL} --config.data.name=folder --config.data.root={{t}}/images"
_VAL = "val.py --weights={t}/weights.safetensors"
_AGAIN = "main.py --config.train.steps=2 --config.train.batch_size=8 --workdir={t}/run"

ARCHIVES = {
    "cifar-missing": (nothing, _CIFAR, "is not cifar-10-python.tar.gz"),
    "cifar-is-text": (
        made(bad.write, "cifar-10-python.tar.gz", "x"),
        _CIFAR,
        "not a readable tar archive",
    ),
    "cifar-is-empty": (
        made(bad.write, "cifar-10-python.tar.gz", ""),
        _CIFAR,
        "not a readable tar archive",
    ),
    "cifar-is-a-zip": (
        made(bad.archive, "a.zip", {"a": "b"}),
        f"{_CIFAR}/a.zip",
        "not a readable tar archive",
    ),
    "cifar-is-another-tar": (
        made(bad.archive, "cifar-10-python.tar.gz", {"a": "b"}),
        _CIFAR,
        "is not in the archive",
    ),
    "cifar-is-cut-short": (
        cut_short(
            "cifar-10-python.tar.gz",
            made(bad.archive, "cifar-10-python.tar.gz", {"a": os.urandom(20_000)}),
        ),
        _CIFAR,
        "or cut short",
    ),
    "cifar-labels-too-high": (
        made(bad.cifar, labels=(0, 1, 0, 7)),
        _CIFAR,
        "labels from 0 to 7, expected 0 to 1",
    ),
    "cifar-labels-negative": (made(bad.cifar, labels=(0, 1, 0, -1)), _CIFAR, "labels from -1 to 1"),
    "cifar-labels-not-whole": (
        made(bad.cifar, labels=(0, 1, 0, 0.5)),
        _CIFAR,
        "labels are not integers",
    ),
    "cifar-labels-too-few": (made(bad.cifar, labels=(0, 1)), _CIFAR, "4 images with 2 labels"),
    "cifar-without-images": (made(bad.cifar, images=0, labels=()), _CIFAR, "train has no images"),
    "cifar-of-one-class": (made(bad.cifar, names=(b"cat",), labels=(0,) * 4), _CIFAR, "1 classes"),
    "cifar-classes-twice": (made(bad.cifar, names=(b"cat", b"cat")), _CIFAR, "of which 1 differ"),
    "cifar-images-too-small": (
        made(bad.cifar, width=100),
        _CIFAR,
        "not in CIFAR's official format",
    ),
    "cifar-file-is-empty": (
        cifar_file("data_batch_3", b""),
        _CIFAR,
        "data_batch_3: not a readable pickle",
    ),
    "cifar-file-is-a-list": (
        cifar_file("data_batch_3", b"\x80\x02]."),
        _CIFAR,
        "not in CIFAR's official format",
    ),
    "cifar-100-of-10": (
        made(bad.cifar),
        f"{_CIFAR} --config.data.name=cifar100",
        "is not cifar-100-python.tar.gz",
    ),
    "tiny-missing": (nothing, _TINY, "is not there; expected tiny-imagenet-200.zip"),
    "tiny-root-not-given": (nothing, f"{_TINY} --config.data.root=", "data.root is empty"),
    "tiny-is-text": (
        made(bad.write, "tiny-imagenet-200.zip", "hello"),
        _TINY,
        "not a readable zip archive",
    ),
    "tiny-is-empty": (
        made(bad.write, "tiny-imagenet-200.zip", ""),
        _TINY,
        "not a readable zip archive",
    ),
    "tiny-is-cut-short": (
        cut_short("tiny-imagenet-200.zip", made(bad.tiny)),
        _TINY,
        "not a readable zip archive",
    ),
    "tiny-is-a-zip-in-a-zip": (zip_in_zip, _TINY, "is it Tiny ImageNet?"),
    "tiny-without-classes": (tiny_with("wnids.txt", ""), _TINY, "wnids.txt lists 0 classes"),
    "tiny-classes-twice": (tiny_with("wnids.txt", "n01\nn02\nn02\n"), _TINY, "of which 2 differ"),
    "tiny-classes-binary": (tiny_with("wnids.txt", b"\xff\xfe"), _TINY, "is not readable"),
    "tiny-class-unknown": (
        tiny_with("val/val_annotations.txt", "val_0.JPEG\tn09\n"),
        _TINY,
        "the class n09",
    ),
    "tiny-without-annotations": (
        tiny_with("val/val_annotations.txt", None),
        _TINY,
        "can't read val/val_annotations",
    ),
    "tiny-annotations-binary": (
        tiny_with("val/val_annotations.txt", b"\xff\t\xff"),
        _TINY,
        "is not readable",
    ),
    "tiny-annotations-of-spaces": (
        tiny_with("val/val_annotations.txt", "a.JPEG n01\n"),
        _TINY,
        "is not readable",
    ),
    "tiny-class-without-images": (
        made(bad.tiny, **{f"train/n02/images/n02_{number}.JPEG": None for number in range(3)}),
        _TINY,
        "train has no images of n02",
    ),
    "tiny-image-empty": (
        tiny_with("train/n01/images/n01_0.JPEG", b""),
        _TINY,
        "n01_0.JPEG: not a readable image",
    ),
    "tiny-image-of-another-size": (
        tiny_with("train/n01/images/n01_0.JPEG", bad.picture(32, "jpeg")),
        _TINY,
        "32 x 32 pixels, expected 64 x 64",
    ),
    "tiny-cache-is-a-file": (
        lambda place, run: (bad.tiny(place), bad.write(place, "cache", "x")),
        _TINY,
        "set data.cache_dir to another folder",
    ),
    "imagenet-without-train": (
        made(bad.write, "imagenet/a", "x"),
        _IMAGENET,
        "has no folder train",
    ),
    "imagenet-without-labels": (made(bad.imagenet, None), _IMAGENET, "val/ is flat, and neither"),
    "imagenet-label-too-high": (
        made(bad.imagenet, "val_0.png 0\nval_1.png 7\n"),
        _IMAGENET,
        "labels from 0 to 7",
    ),
    "imagenet-labels-are-names": (
        made(bad.imagenet, "val_0.png cat\n"),
        _IMAGENET,
        "are not readable",
    ),
    "imagenet-label-missing": (
        made(bad.imagenet, "val_0.png 0\n"),
        _IMAGENET,
        "no label for val_1.png",
    ),
    "imagenet-solution-of-another-kind": (
        lambda place, run: (
            bad.imagenet(place, None),
            bad.write(place, "imagenet/LOC_val_solution.csv", "ImageId,PredictionString\nval_0\n"),
        ),
        _IMAGENET,
        "are not readable",
    ),
    "imagenet-development-kit-damaged": (
        lambda place, run: (
            bad.imagenet(place, None),
            bad.write(place, "imagenet/kit/ILSVRC2012_validation_ground_truth.txt", "1\n2\n"),
            bad.write(place, "imagenet/kit/meta.mat", "x"),
        ),
        _IMAGENET,
        "meta.mat",
    ),
}

WEIGHTS = {
    **{
        f"{kind}-as-{ending[1:]}": (
            made(bad.write, f"weights{ending}", content),
            f"val.py --config=configs/digits_rdrop.py --weights={{t}}/weights{ending}",
            "not a readable",
        )
        for ending in (".safetensors", ".pdparams", ".pth", ".pt", ".bin", ".npz")
        for kind, content in {
            "nothing": b"",
            "text": b"hello world",
            "page": b"<!DOCTYPE html>" * 9,
        }.items()
    },
    "missing": (nothing, _VAL, "no such weights file"),
    "accuracy-is-nan": (
        copied,
        f"{_VAL} --expect_top1=nan",
        "--expect_top1 is nan, expected 0 to 1",
    ),
    "result-into-a-pipe": (
        lambda place, run: (copied(place, run), os.mkfifo(place / "pipe")),
        f"{_VAL} --json={{t}}/pipe",
        "pipe is a device or a pipe",
    ),
    "result-into-a-device": (copied, f"{_VAL} --json=/dev/null", "/dev/null is a device or a pipe"),
    "not-given": (nothing, "val.py", "weights"),
    "given-the-run": (nothing, "val.py --weights={run}", "no such weights file"),
    "name-too-long": (nothing, f"val.py --weights=/{LONG}.safetensors", "File name too long"),
    "cut-short": (
        cut_short("weights.safetensors", copied),
        _VAL,
        "not a readable safetensors file",
    ),
    "plain-without-a-config": (
        weights(lambda arrays, own: own.pop("config")),
        _VAL,
        "does not carry a config",
    ),
    "of-a-newer-format": (
        weights(lambda arrays, own: own.update(format=2)),
        _VAL,
        "this version reads 1",
    ),
    "field-unknown": (
        own_field("optim", "warmth", 1),
        _VAL,
        "optim.warmth, which this version does not know",
    ),
    "field-of-another-type": (own_field("optim", "lr", "high"), _VAL, "expected such as 0.001"),
    "field-of-400-digits": (own_field("optim", "lr", 10**400), _VAL, "expected such as 0.001"),
    "field-is-a-group": (own_field("optim", "lr", {"peak": 1}), _VAL, "expected such as 0.001"),
    "group-is-a-field": (
        weights(lambda arrays, own: own["config"].update(model=None)),
        _VAL,
        "model is no group of fields",
    ),
    "config-is-a-list": (
        weights(lambda arrays, own: own.update(config=[1])),
        _VAL,
        "not an object",
    ),
    "std-is-zero": (own_field("model", "std", [0, 0, 0]), _VAL, "config.model.std is"),
    "std-is-missing": (
        own_field("model", "std", []),
        "tools.predict --weights {t}/weights.safetensors a",
        "lacks the",
    ),
    "size-astronomical": (own_field("model", "image_size", 10**9), _VAL, "at most 16,384"),
    "of-an-unknown-model": (own_field("model", "name", "vit_q"), _VAL, "'vit_q' is not known"),
    "of-another-model": (own_field("model", "name", "vit_n_4"), _VAL, "have other shapes"),
    "classes-missing": (
        weights(lambda arrays, own: own.pop("classes")),
        _VAL,
        "not a list of names",
    ),
    "classes-turned": (
        weights(lambda arrays, own: own["classes"].reverse()),
        _VAL,
        "class 0 of the data is '0', but",
    ),
    "classes-too-few": (
        weights(lambda arrays, own: own["classes"].pop()),
        _VAL,
        "expected the 9 classes that it names",
    ),
    "array-missing": (
        weights(lambda arrays, own: arrays.pop("norm.weight")),
        _VAL,
        "are missing: norm.weight",
    ),
    "array-too-many": (
        weights(lambda arrays, own: arrays.update(x=np.zeros(3, "float32"))),
        _VAL,
        "do not belong to the model: x",
    ),
    "array-is-nan": (
        weights(lambda arrays, own: arrays["norm.weight"].fill(np.nan)),
        _VAL,
        "not finite",
    ),
    "head-of-other-classes": (
        weights(lambda arrays, own: arrays.update({"head.weight": np.zeros((48, 5), "float32")})),
        _VAL,
        "head.weight",
    ),
    "of-other-data": (
        lambda place, run: (copied(place, run), bad.images(place)),
        f"{_VAL} --config.data.name=folder --config.data.root={{t}}/images",
        "the data has 2 classes",
    ),
    "json-over-them": (
        copied,
        f"{_VAL} --json={{t}}/weights.safetensors",
        "is an input, which would be lost",
    ),
    "json-is-a-folder": (copied, f"{_VAL} --json={{t}}", "is a folder; give the name of a file"),
    "json-not-writable": (copied, f"{_VAL} --json=/proc/a/b.json", "can't be written"),
    "split-misspelt": (copied, f"{_VAL} --split=tes", "--split=tes"),
    "expectation-in-percent": (copied, f"{_VAL} --expect_top1=93", "--expect_top1=93"),
    "no-split-was-held-out": (
        copied,
        f"{_VAL} --split=val --config.data.holdout=0.0",
        "split val has no images",
    ),
}

RUN_FOLDERS = {
    "config-of-a-newer-version": (
        run_config(lambda c: c["optim"].update(warmth=1)),
        _AGAIN,
        "optim.warmth, which this",
    ),
    "config-of-an-older-version": (
        run_config(lambda c: c["optim"].pop("lr")),
        _AGAIN,
        "optim.lr = 0.001, not 0.006",
    ),
    "config-of-another-type": (
        run_config(lambda c: c["optim"].update(lr="high")),
        _AGAIN,
        "optim.lr = 'high'",
    ),
    "config-is-empty": (run_file("config.json", ""), _AGAIN, "is not readable"),
    "config-is-binary": (run_file("config.json", b"\xff\xfe"), _AGAIN, "is not readable"),
    "config-is-a-list": (run_file("config.json", "[]"), _AGAIN, "not an object"),
    "config-nests-without-end": (run_file("config.json", "[" * 100_000), _AGAIN, "is not readable"),
    "config-is-lost": (run_file("config.json", None), _AGAIN, "has lost its config.json"),
    "config-is-lost-and-overwrite": (
        run_file("config.json", None),
        f"{_AGAIN} --overwrite",
        "clear it by hand",
    ),
    "result-is-empty": (run_file("result.json", ""), _AGAIN, "is not readable"),
    "result-is-a-list": (run_file("result.json", "[]"), _AGAIN, "is not the result of a run"),
    "result-is-text": (
        run_file("result.json", '{"top1": "good"}'),
        _AGAIN,
        "is not the result of a run",
    ),
    "result-of-400-digits": (
        run_file("result.json", '{"top1": 1%s}' % ("0" * 400)),
        _AGAIN,
        "is not the result of a run",
    ),
    "run-of-another-seed": (
        run_config(lambda c: None),
        f"{_AGAIN} --config.seed=3",
        "holds a run with seed = 0, not 3",
    ),
    "run-without-stages": (
        lambda place, run: (
            shutil.copytree(run, place / "run"),
            config("return c\ndef get_stages(): return {'a': {}, 'b': {}}")(place, run),
        ),
        "main.py --config={t}/c.py --workdir={t}/run",
        "holds a run without stages",
    ),
    "overwrite-by-what-is-wrong": (
        run_config(lambda c: None),
        f"{_AGAIN} --overwrite --config.model.image_size=9",
        "9",
    ),
}


def _copied_run(place: Path, run: Path) -> None:
    shutil.copytree(run, place / "run")


# Root may read everything: these are rows for others.
UNREADABLE = {
    "images": (closed("images/train", made(bad.images)), _OWN, "images/train"),
    "class": (closed("images/train/class_1", made(bad.images)), _OWN, "images/train/class_1"),
    "cifar": (
        closed("cifar-10-python.tar.gz", made(bad.archive, "cifar-10-python.tar.gz", {"a": "b"})),
        _CIFAR,
        "cifar-10-python.tar.gz",
    ),
    "tiny": (closed("tiny-imagenet-200.zip", made(bad.tiny)), _TINY, "tiny-imagenet-200.zip"),
    "config": (closed("c.py", config("return c")), "main.py --config={t}/c.py", "c.py"),
    "weights": (closed("weights.safetensors", copied), _VAL, "weights.safetensors"),
    "pretrained": (
        closed("weights.safetensors", copied),
        "main.py --config.model.pretrained={t}/weights.safetensors",
        "weights.safetensors",
    ),
    "run-config": (closed("run/config.json", _copied_run), _AGAIN, "run/config.json"),
    "run-result": (closed("run/result.json", _copied_run), _AGAIN, "run/result.json"),
    "run-lock": (closed("run/.lock", _copied_run), _AGAIN, "run"),
    "run-checkpoints": (
        closed("run/checkpoints", run_file("result.json", None)),
        _AGAIN,
        "run/checkpoints",
    ),
    "run": (closed("run", _copied_run), _AGAIN, "run"),
    "place-of-the-run": (
        closed("shut", lambda place, run: (place / "shut").mkdir()),
        "main.py --workdir={t}/shut/run",
        "shut",
    ),
}
