"""Rows of `test_bad_input.py`: folders of runs, and what may not be read."""

import shutil
from pathlib import Path

import bad_files as bad
from bad_files import (
    AGAIN,
    CIFAR,
    OWN,
    TINY,
    VAL,
    closed,
    config,
    copied,
    made,
    run_config,
    run_file,
)

RUN_FOLDERS = {
    "config-of-a-newer-version": (
        run_config(lambda c: c["optim"].update(warmth=1)),
        AGAIN,
        "optim.warmth, which this",
    ),
    "config-of-an-older-version": (
        run_config(lambda c: c["optim"].pop("lr")),
        AGAIN,
        "optim.lr = 0.001, not 0.006",
    ),
    "config-of-another-type": (
        run_config(lambda c: c["optim"].update(lr="high")),
        AGAIN,
        "optim.lr = 'high'",
    ),
    "config-is-empty": (run_file("config.json", ""), AGAIN, "is not readable"),
    "config-is-binary": (run_file("config.json", b"\xff\xfe"), AGAIN, "is not readable"),
    "config-is-a-list": (run_file("config.json", "[]"), AGAIN, "not an object"),
    "config-nests-without-end": (run_file("config.json", "[" * 100_000), AGAIN, "is not readable"),
    "config-is-lost": (run_file("config.json", None), AGAIN, "has lost its config.json"),
    "config-is-lost-and-overwrite": (
        run_file("config.json", None),
        f"{AGAIN} --overwrite",
        "clear it by hand",
    ),
    "result-is-empty": (run_file("result.json", ""), AGAIN, "is not readable"),
    "result-is-a-list": (run_file("result.json", "[]"), AGAIN, "is not the result of a run"),
    "result-is-text": (
        run_file("result.json", '{"top1": "good"}'),
        AGAIN,
        "is not the result of a run",
    ),
    "result-of-400-digits": (
        run_file("result.json", '{"top1": 1%s}' % ("0" * 400)),
        AGAIN,
        "is not the result of a run",
    ),
    "run-of-another-seed": (
        run_config(lambda c: None),
        f"{AGAIN} --config.seed=3",
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
        f"{AGAIN} --overwrite --config.model.image_size=9",
        "9",
    ),
}


def _copied_run(place: Path, run: Path) -> None:
    shutil.copytree(run, place / "run")


# Root may read everything: these are rows for others.
UNREADABLE = {
    "images": (closed("images/train", made(bad.images)), OWN, "images/train"),
    "class": (closed("images/train/class_1", made(bad.images)), OWN, "images/train/class_1"),
    "cifar": (
        closed("cifar-10-python.tar.gz", made(bad.archive, "cifar-10-python.tar.gz", {"a": "b"})),
        CIFAR,
        "cifar-10-python.tar.gz",
    ),
    "tiny": (closed("tiny-imagenet-200.zip", made(bad.tiny)), TINY, "tiny-imagenet-200.zip"),
    "config": (closed("c.py", config("return c")), "main.py --config={t}/c.py", "c.py"),
    "weights": (closed("weights.safetensors", copied), VAL, "weights.safetensors"),
    "pretrained": (
        closed("weights.safetensors", copied),
        "main.py --config.model.pretrained={t}/weights.safetensors",
        "weights.safetensors",
    ),
    "run-config": (closed("run/config.json", _copied_run), AGAIN, "run/config.json"),
    "run-result": (closed("run/result.json", _copied_run), AGAIN, "run/result.json"),
    "run-lock": (closed("run/.lock", _copied_run), AGAIN, "run"),
    "run-checkpoints": (
        closed("run/checkpoints", run_file("result.json", None)),
        AGAIN,
        "run/checkpoints",
    ),
    "run": (closed("run", _copied_run), AGAIN, "run"),
    "place-of-the-run": (
        closed("shut", lambda place, run: (place / "shut").mkdir()),
        "main.py --workdir={t}/shut/run",
        "shut",
    ),
}
