"""Rows of `test_bad_input.py`: the tools."""

from __future__ import annotations

import shutil

import bad_files as bad
from bad_files import LONG, copied, made, nothing

_CONVERT = "tools.convert_weights --model vit_n_2 --source ours"

TOOLS = {
    "average-nothing": (nothing, "tools.average_weights", "are required: INPUT, --output"),
    "average-without-output": (
        nothing,
        "tools.average_weights {run}/weights.safetensors",
        "required: --output",
    ),
    "average-over-an-input": (
        copied,
        "tools.average_weights {run}/weights.safetensors {t}/weights.safetensors "
        "--output {t}/weights.safetensors",
        "is an input, which would be lost",
    ),
    "average-of-text": (
        made(bad.write, "a.txt", "x"),
        "tools.average_weights {t}/a.txt --output {t}/o.pth",
        "it is a text",
    ),
    "average-of-an-unfinished-run": (
        lambda place, run: shutil.copytree(run / "checkpoints", place / "run" / "checkpoints"),
        "tools.average_weights {t}/run --output {t}/o.pth",
        "its run is not finished: give the run's command once more",
    ),
    "average-of-no-checkpoint": (
        lambda place, run: (place / "run" / "checkpoints" / "step_3").mkdir(parents=True),
        "tools.average_weights {t}/run/checkpoints/step_3 --output {t}/o.pth",
        "is not the folder of a run",
    ),
    "average-to-a-text": (
        nothing,
        "tools.average_weights {run}/weights.safetensors --output {t}/a.txt",
        "written as",
    ),
    "average-not-writable": (
        nothing,
        "tools.average_weights {run}/weights.safetensors --output /proc/a/b.pth",
        "/proc",
    ),
    "average-negative-batches": (
        nothing,
        "tools.average_weights a --output b.pth --bn_batches -1",
        "expected 0 or more",
    ),
    "average-batches-are-text": (
        nothing,
        "tools.average_weights a --output b.pth --bn_batches x",
        "invalid int value",
    ),
    "benchmark-of-what": (nothing, "tools.benchmark trian", "invalid choice: 'trian'"),
    "benchmark-unknown-model": (
        nothing,
        "tools.benchmark train --model vit_q",
        "'vit_q' is not known",
    ),
    "benchmark-unknown-optimizer": (
        nothing,
        "tools.benchmark train --optimizer adam",
        "expected one of adamw",
    ),
    "benchmark-batch-zero": (nothing, "tools.benchmark train --batch 0", "expected 1 or more"),
    "benchmark-rounds-zero": (nothing, "tools.benchmark train --rounds 0", "--rounds is 0"),
    "benchmark-rate-is-nan": (nothing, "tools.benchmark train --drop_rate nan", "is nan"),
    "benchmark-json-is-a-folder": (nothing, "tools.benchmark eval --json {t}", "is a folder"),
    "benchmark-json-below-a-file": (
        made(bad.write, "a", "x"),
        "tools.benchmark eval --json {t}/a/b.json",
        "a is a file",
    ),
    "check-nothing-there": (nothing, "tools.check_data {t}/absent", "nothing is there"),
    "check-empty": (
        lambda place, run: (place / "images").mkdir(),
        "tools.check_data {t}/images --output={t}/o",
        "no class folders; expected at least 2",
    ),
    "check-two-roots": (nothing, "tools.check_data a b", "'b' is not a flag"),
    "check-root-and-config": (
        nothing,
        "tools.check_data {t} --config=configs/digits_ce.py",
        "give either",
    ),
    "check-into-a-file": (
        made(bad.write, "o", "x"),
        "tools.check_data {t} --output={t}/o",
        "can't be written",
    ),
    "check-json-is-a-folder": (nothing, "tools.check_data {t} --json={t}", "is a folder"),
    "check-flag-misspelt": (nothing, "tools.check_data --outptu=a", "--outptu is no flag"),
    "check-of-nothing": (nothing, "tools.check_data", "give a folder or an archive"),
    "convert-unknown-model": (
        nothing,
        f"{_CONVERT} --model vit_q --input a.pth --output {{t}}/b.pth",
        "a.pth: no such",
    ),
    "convert-unknown-source": (
        nothing,
        f"{_CONVERT} --source jax --input a.pth --output b.pth",
        "invalid choice: 'jax'",
    ),
    "convert-other-source": (
        nothing,
        f"{_CONVERT} --source timm --input {{run}}/weights.safetensors --output {{t}}/b.pth",
        "not of timm",
    ),
    "convert-other-model": (
        nothing,
        f"{_CONVERT} --model vit_n_4 --input {{run}}/weights.safetensors --output {{t}}/b.pth",
        "have other shapes",
    ),
    "convert-over-the-input": (
        copied,
        f"{_CONVERT} --input {{t}}/weights.safetensors --output {{t}}/weights.safetensors",
        "is an input",
    ),
    "convert-to-npz": (
        nothing,
        f"{_CONVERT} --input {{run}}/weights.safetensors --output {{t}}/b.npz",
        "written as",
    ),
    "convert-name-too-long": (
        nothing,
        f"{_CONVERT} --input {{run}}/weights.safetensors --output {{t}}/{LONG}.pth",
        "File name too long",
    ),
    "find-too-few-steps": (
        nothing,
        "tools.lr_find --steps=3 --output={t}/o",
        "expected 20 or more",
    ),
    "find-too-many-steps": (
        nothing,
        f"tools.lr_find --steps=1{'0' * 30} --output={{t}}/o",
        "at most",
    ),
    "find-lowest-is-nan": (
        nothing,
        "tools.lr_find --lowest=nan --output={t}/o",
        "expected 0 < lowest < highest",
    ),
    "find-lowest-is-highest": (
        nothing,
        "tools.lr_find --lowest=2 --output={t}/o",
        "expected 0 < lowest < highest",
    ),
    "find-in-a-run": (nothing, "tools.lr_find --steps=20 --output={run}", "is the folder of a run"),
    "find-in-a-file": (
        made(bad.write, "o", "x"),
        "tools.lr_find --steps=20 --output={t}/o",
        "can't be written",
    ),
    "models-of-no-name": (
        nothing,
        "tools.models nothing_like_it",
        "no model has 'nothing_like_it'",
    ),
    "models-flag-misspelt": (nothing, "tools.models --nams", "unrecognized arguments: --nams"),
    "models-json-is-a-folder": (nothing, "tools.models --names --json {t}", "is a folder"),
    "predict-nothing": (nothing, "tools.predict", "are required: --weights"),
    "predict-no-images": (nothing, "tools.predict --weights {run}", "IMAGE, or --list FILE"),
    "predict-an-absent-list": (
        nothing,
        "tools.predict --weights {run} --list {t}/a.txt",
        "a.txt: no such file",
    ),
    "predict-no-classes-shown": (
        nothing,
        "tools.predict --weights {run} --top 0 a.png",
        "--top: is 0, expected 1 or more",
    ),
    "predict-batches-of-text": (
        nothing,
        "tools.predict --weights {run} --batch many a.png",
        "--batch: is many, expected 1 or more",
    ),
    "predict-two-tables-in-one": (
        nothing,
        "tools.predict --weights {run} --json {t}/o --csv {t}/o a.png",
        "is the file of --json, too",
    ),
    "predict-copies-among-the-images": (
        made(bad.write, "a/a.png", bad.picture()),
        "tools.predict --weights {run} {t} --copy_to {t}/b",
        "which is read; give a folder outside of it",
    ),
    "predict-copies-into-a-file": (
        made(bad.write, "a.png", bad.picture()),
        "tools.predict --weights {run} {t}/a.png --copy_to {t}/a.png",
        "can't be written",
    ),
    "predict-other-classes": (
        made(bad.write, "labels.txt", "a\nb\n"),
        "tools.predict --weights {run} --classes {t}/labels.txt a.png",
        "is of 10 classes, but 2 names are given",
    ),
    "predict-another-model": (
        nothing,
        "tools.predict --weights {run} --model deit_ti a.png",
        "not deit_ti; leave it out",
    ),
    "predict-an-address-of-nothing": (
        nothing,
        "tools.predict --weights {run} http://127.0.0.1:1/a.png",
        "a.png: can't be downloaded",
    ),
    "predict-with-others": (
        nothing,
        "tools.predict --weights a.pdparams a.png",
        "no such weights file",
    ),
    "predict-missing": (
        nothing,
        "tools.predict --weights {run}/weights.safetensors {t}/a.png",
        "a.png: not a readable",
    ),
    "predict-an-empty-folder": (
        nothing,
        "tools.predict --weights {run}/weights.safetensors {t}",
        "no images there",
    ),
    "predict-a-pattern": (
        nothing,
        "tools.predict --weights {run} '{t}/*.jpg'",
        "*.jpg: no images there",
    ),
    "predict-over-an-image-of-a-folder": (
        made(bad.write, "a.png", bad.picture()),
        "tools.predict --weights {run} {t} --json {t}/a.png",
        "is an input",
    ),
    "predict-the-weights": (
        nothing,
        "tools.predict --weights {run}/weights.safetensors {run}/weights.safetensors",
        "of no known format",
    ),
    "predict-over-the-image": (
        made(bad.write, "a.png", bad.picture()),
        "tools.predict --weights {run}/weights.safetensors {t}/a.png --json {t}/a.png",
        "is an input",
    ),
    "show-without-output": (nothing, "tools.show_batch", "--output"),
    "show-as-text": (nothing, "tools.show_batch --output={t}/a.txt", "ends in none of .png"),
    "show-in-a-folder": (
        lambda place, run: (place / "a.png").mkdir(),
        "tools.show_batch --output={t}/a.png",
        "a folder",
    ),
    "show-negative-step": (
        nothing,
        "tools.show_batch --output={t}/a.png --step=-1",
        "non-negative",
    ),
    "show-no-images": (nothing, "tools.show_batch --output={t}/a.png --images=0", "positive"),
    "sweep-nothing": (nothing, "tools.sweep", "are required: --config"),
    "sweep-missing": (nothing, "tools.sweep --config absent.py --workdir {t}/o", "is not a file"),
    "sweep-field-misspelt": (
        nothing,
        "tools.sweep --config configs/digits_ce.py --set optim.l=1,2 --workdir {t}/o",
        "did you mean 'optim.lr'",
    ),
    "sweep-value-is-text": (
        nothing,
        "tools.sweep --config configs/digits_ce.py --set optim.lr=1,a --workdir {t}/o",
        "optim.lr=a: expected a number",
    ),
    "sweep-no-jobs": (nothing, "tools.sweep --config configs/digits_ce.py --jobs 0", "--jobs is 0"),
    "sweep-negative-seed": (
        nothing,
        "tools.sweep --config configs/digits_ce.py --seeds 0 -1",
        "--seeds has -1",
    ),
    "sweep-below-a-file": (
        made(bad.write, "a", "x"),
        "tools.sweep --config configs/digits_ce.py --workdir {t}/a/b",
        "a is a file",
    ),
    "forever-nothing": (nothing, "tools.run_forever", "there is no command"),
    "forever-overwrite": (
        nothing,
        "tools.run_forever -- python main.py --overwrite",
        "would begin anew",
    ),
    "forever-negative": (
        nothing,
        "tools.run_forever --hours -1 -- python main.py",
        "expected 0 or more",
    ),
    "forever-nan": (
        nothing,
        "tools.run_forever --hours nan -- python main.py",
        "expected 0 or more",
    ),
    "forever-text": (
        nothing,
        "tools.run_forever --hours x -- python main.py",
        "invalid float value",
    ),
    "reproduce-what": (nothing, "tools.reproduce", "name a figure (python -m tools.reproduce --l"),
    "reproduce-unknown": (
        nothing,
        "tools.reproduce cifar100_vit_b --workdir {t}/w",
        "did you mean 'cifar100_vit_b_384'",
    ),
    "reproduce-json-of-a-run": (
        nothing,
        "tools.reproduce digits_rdrop --json {t}/a.json",
        "no meaning without --list",
    ),
    "reproduce-json-is-a-folder": (nothing, "tools.reproduce --list --json {t}", "is a folder"),
    "reproduce-no-seed": (
        nothing,
        "tools.reproduce digits_rdrop --seeds 0",
        "--seeds is 0, expected 1 or more",
    ),
    "reproduce-cards-that-are-not-there": (
        nothing,
        "tools.reproduce cifar100_vit_b_384 --gpus 4096",
        "GPU are visible; give fewer",
    ),
    "reproduce-field-without-a-value": (
        nothing,
        "tools.reproduce digits_rdrop --set optim.lr",
        "--set optim.lr: expected FIELD=VALUE",
    ),
    "reproduce-unknown-field": (
        nothing,
        "tools.reproduce digits_rdrop --set optim.rate=1",
        "--config.optim.rate: no such field",
    ),
    "reproduce-value-of-another-type": (
        nothing,
        "tools.reproduce digits_rdrop --set optim.lr=fast",
        "--config.optim.lr=fast: expected",
    ),
    "reproduce-below-a-file": (
        made(bad.write, "a", "x"),
        "tools.reproduce digits_rdrop --workdir {t}/a/b",
        "a is a file",
    ),
    "reproduce-another-figure-there": (
        made(
            bad.write,
            "w/reproduction.json",
            '{"what": {"figure": "digits_ce"}, "stages": {}, "running": null}',
        ),
        "tools.reproduce digits_rdrop --no_doctor --workdir {t}/w",
        "holds a reproduction with figure = 'digits_ce', not 'digits_rdrop'",
    ),
    "reproduce-damaged-state": (
        made(bad.write, "w/reproduction.json", "[1]"),
        "tools.reproduce digits_rdrop --no_doctor --workdir {t}/w",
        "is not the state of a reproduction; give another --workdir",
    ),
}
