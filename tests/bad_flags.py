"""Rows of `test_bad_input.py`: flags and configs."""

import bad_files as bad
from bad_files import LONG, config, copied, made, nothing

FLAGS = {
    "config-is-a-folder": (nothing, "main.py --config=configs", "is a folder; give a file"),
    "config-misspelt": (
        nothing,
        "main.py --config=configs/digits_rdrp.py",
        "is not a file; did you mean 'digits_rdrop'",
    ),
    "config-is-no-python": (nothing, "main.py --config=README.md", "is not a Python file"),
    "config-is-empty-text": (nothing, "main.py --config=", "is a folder; give a file"),
    "config-gives-a-number": (
        made(bad.write, "c.py", "def get_config(): return 3"),
        "main.py --config={t}/c.py",
        "int",
    ),
    "config-leaves": (
        made(bad.write, "c.py", "import sys; sys.exit(0)"),
        "main.py --config={t}/c.py",
        "SystemExit",
    ),
    "config-has-an-error": (
        made(bad.write, "c.py", "def get_config(:"),
        "main.py --config={t}/c.py",
        "SyntaxError",
    ),
    "config-has-zero-bytes": (
        made(bad.write, "c.py", b"\0"),
        "main.py --config={t}/c.py",
        "null bytes",
    ),
    "config-misspells-a-field": (
        config("c.optim.lrr = 1; return c"),
        "main.py --config={t}/c.py",
        "lrr",
    ),
    "config-adds-a-field": (
        config("c.unlock(); c.optim.lrr = 1; return c"),
        "main.py --config={t}/c.py",
        "optim.lrr, which is no field; did you mean 'optim.lr'",
    ),
    "config-lacks-a-group": (
        made(
            bad.write,
            "c.py",
            "import ml_collections as m\ndef get_config(): return m.ConfigDict({'seed': 1})",
        ),
        "main.py --config={t}/c.py",
        "lacks average.ema_decay (begin with",
    ),
    "config-misspells-a-stage": (
        config("return c\ndef get_stages(): return {'a': {'optim.lrr': 1}}"),
        "main.py --config={t}/c.py",
        "did you mean 'optim.lr'",
    ),
    "config-behind-its-fields": (
        nothing,
        "main.py --config.seed=1 --config=configs/digits_ce.py",
        "before a value for",
    ),
    "config-has-no-such-row": (nothing, "main.py --row=best", "it has no rows"),
    "field-with-a-dash": (nothing, "main.py --config.optim-lr=1", "did you mean 'optim.lr'"),
    "field-without-its-dot": (
        nothing,
        "main.py --config-optim.lr=1",
        "did you mean --config.optim.lr",
    ),
    "field-of-a-group": (nothing, "main.py --config.train=3", "is a group of fields"),
    "number-is-nan": (nothing, "main.py --config.optim.lr=nan", "expected a number"),
    "number-is-infinite": (nothing, "main.py --config.optim.lr=1e400", "expected 0 or more"),
    "number-with-a-comma": (nothing, "main.py --config.optim.lr=0,003", "expected a number"),
    "number-of-a-thousand-signs": (
        nothing,
        f"main.py --config.optim.lr={'-' * 20_000}1",
        "expected a number",
    ),
    "number-is-missing": (nothing, "main.py --config.optim.lr=", "expected a number"),
    "mean-astronomical": (
        nothing,
        "main.py --config.model.mean=(1e308,1e308,1e308)",
        "numbers from -10000 to 1e4",
    ),
    "deviation-tiny": (
        nothing,
        "main.py --config.model.std=(1e-320,1,1)",
        "numbers from 0.0001 to 1e4",
    ),
    "milestones-too-many": (
        config("c.optim.update(schedule='multi_step', milestones=tuple(range(1, 1002))); return c"),
        "main.py --config={t}/c.py",
        "optim.milestones has 1001 values, expected at most 1000",
    ),
    "steps-negative": (nothing, "main.py --config.train.steps=-1", "expected 0 or more"),
    "steps-not-whole": (nothing, "main.py --config.train.steps=1e3", "expected an integer"),
    "steps-astronomical": (
        nothing,
        f"main.py --config.train.steps=1{'0' * 30}",
        "expected at most",
    ),
    "records-too-many": (
        nothing,
        "main.py --config.train.steps=200000 --config.train.log_every_steps=1",
        "train.log_every_steps is 1 in a run of 200000 steps: too many records; set it to 2 or "
        "more",
    ),
    "validations-too-many": (
        nothing,
        "main.py --config.train.steps=1000020 --config.train.log_every_steps=1000 "
        "--config.eval.every_steps=20",
        "eval.every_steps is 20 in a run of 1000020 steps: too many records; set it to 51 or more",
    ),
    "both-lengths-in-the-file": (
        config("c.train.update(steps=3, epochs=1.0); return c"),
        "main.py --config={t}/c.py",
        "config.train.steps=3 and config.train.epochs=1 are both set; set the other to 0",
    ),
    "both-lengths-on-the-command-line": (
        nothing,
        "main.py --config.train.steps=3 --config.train.epochs=2",
        "are both set; set the other to 0",
    ),
    "epochs-zero": (
        nothing,
        "main.py --config.train.steps=0 --config.train.epochs=0",
        "both 0; set one",
    ),
    "epochs-astronomical": (
        nothing,
        "main.py --config.train.steps=0 --config.train.epochs=1e30",
        "expected at most",
    ),
    "batch-zero": (nothing, "main.py --config.train.batch_size=0", "expected 1 or more"),
    "batch-larger-than-the-set": (
        nothing,
        "main.py --config.train.batch_size=5000",
        "larger than the",
    ),
    "copies-by-the-billion": (
        nothing,
        "main.py --config.rdrop.copies=1000000000",
        "expected at most 1,024",
    ),
    "workers-by-the-thousand": (
        nothing,
        "main.py --config.data.workers=100000",
        "expected at most 1,024",
    ),
    "seed-negative": (nothing, "main.py --config.seed=-1", "expected 0 or more"),
    "image-size-negative": (nothing, "main.py --config.model.image_size=-8", "expected 0 or more"),
    "image-size-odd": (
        nothing,
        "main.py --config.model.image_size=9",
        "a multiple of the patch size 2",
    ),
    "image-size-astronomical": (
        nothing,
        "main.py --config.model.image_size=1000000",
        "expected at most 16,384",
    ),
    "class-count": (nothing, "main.py --config.model.num_classes=9", "but the data has 10 classes"),
    "model-misspelt": (nothing, "main.py --config.model.name=vit_n2", "did you mean 'vit_n_2'"),
    "data-misspelt": (nothing, "main.py --config.data.name=cifar", "did you mean 'cifar10'"),
    "boolean-is-neither": (nothing, "main.py --dry_run=perhaps", "--dry_run=perhaps"),
    "stray-word": (nothing, "main.py train", "'train' is not a flag"),
    "holdout-leaves-nothing": (
        nothing,
        "main.py --config.data.holdout=0.9999",
        "larger than the 10 training images: set train.batch_size=10 or less",
    ),
    "workdir-is-a-file": (
        made(bad.write, "new", "mine"),
        "main.py",
        "can't be written (File exists)",
    ),
    "workdir-below-a-file": (
        made(bad.write, "a", "mine"),
        "main.py --workdir={t}/a/b",
        "Not a directory",
    ),
    "workdir-not-writable": (nothing, "main.py --workdir=/proc/run", "can't be written"),
    "workdir-too-long": (nothing, f"main.py --workdir={{t}}/{LONG}", "File name too long"),
    "left-to-no-recipe": (
        nothing,
        "main.py --config.optim.lr=-1",
        "config.optim.lr is -1.0, which leaves it to a recipe: set a value, or train.recipe",
    ),
    "model-auto-without-weights": (
        nothing,
        "main.py --config.model.name=auto",
        "model.name=auto takes the model from its weights: set model.pretrained, or name it",
    ),
    "model-parts-unknown": (
        nothing,
        "main.py --config.model.parts=register=4",
        "model.parts has 'register=4', expected auto or NAME=VALUE with one of",
    ),
    "recipe-unknown": (
        nothing,
        "main.py --config=configs/folder.py --config.train.recipe=tune",
        "train.recipe is 'tune', expected one of '', fine_tune",
    ),
    "recipe-taken-away": (
        nothing,
        "main.py --config=configs/folder.py --config.train.recipe=",
        "which leaves it to a recipe",
    ),
    "recipe-without-images": (
        copied,
        "main.py --config=configs/folder.py --config.model.pretrained={t}/weights.safetensors",
        "data.root is empty; give the folder or the archive of the images",
    ),
    "recipe-without-a-rate": (
        copied,
        "main.py --config=configs/folder.py --config.data.name=digits "
        "--config.model.pretrained={t}/weights.safetensors --config.optim.name=lars "
        "--config.optim.weight_decay=0.1",
        "no rate for optim.name=lars, only for adamw, momentum, sgd: set optim.lr",
    ),
    "recipe-with-a-scaled-rate": (
        nothing,
        "main.py --config=configs/folder.py --config.optim.scale_lr=true",
        "optim.scale_lr has no use with train.recipe=fine_tune",
    ),
    "recipe-with-no-weights-file": (
        nothing,
        "main.py --config=configs/folder.py --config.model.pretrained={t}/w.pth",
        "w.pth: no such weights file",
    ),
    "recipe-with-a-damaged-file": (
        made(bad.write, "w.safetensors", b"hello"),
        "main.py --config=configs/folder.py --config.model.pretrained={t}/w.safetensors",
        "it is a text",
    ),
    "recipe-of-an-unknown-model": (
        nothing,
        "main.py --config=configs/folder.py --config.model.name=deit_x",
        "model 'deit_x' is not known; did you mean",
    ),
    "recipe-of-a-model-without-weights": (
        nothing,
        "main.py --config=configs/folder.py --config.model.name=vit_n_8",
        "vit_n_8 has no published weights: give a file by --config.model.pretrained=FILE",
    ),
    "pretrained-missing": (
        nothing,
        "main.py --config.model.pretrained={t}/w.pdparams",
        "no such weights file",
    ),
    "pretrained-is-a-name": (nothing, "main.py --config.model.pretrained=vit_b", "did you mean"),
    "pretrained-by-http": (
        nothing,
        "main.py --config.model.pretrained=http://x/w.pth",
        "only https",
    ),
    "pretrained-of-another-model": (
        copied,
        "main.py --config.model.pretrained={t}/weights.safetensors --config.model.name=vit_n_4 "
        "--config.model.image_size=8",
        "other shapes",
    ),
}
