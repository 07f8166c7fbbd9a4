"""Rows of `test_bad_input.py`: the user's own folders of images."""

import os

import bad_files as bad
from bad_files import LONG, OWN, SMALL, images_then, made, nothing

OWN_IMAGES = {
    "root-is-missing": (nothing, OWN, "images is not a folder"),
    "root-is-not-given": (nothing, f"{OWN} --config.data.root=", "data.root is empty"),
    "root-is-empty": (lambda place, run: (place / "images").mkdir(), OWN, "no class folders"),
    "root-is-a-file": (made(bad.write, "images", "x"), OWN, "is not a folder"),
    "root-links-to-itself": (
        lambda place, run: os.symlink("images", place / "images"),
        OWN,
        "is not a folder",
    ),
    "root-too-long": (
        nothing,
        f"{SMALL} --config.data.name=folder --config.data.root={{t}}/{LONG}",
        "File name too long",
    ),
    "images-without-classes": (
        made(bad.write, "images/a.png", bad.picture()),
        OWN,
        "no class folders",
    ),
    "one-class": (
        made(bad.write, "images/cat/a.png", bad.picture()),
        OWN,
        "1 class folder (cat); expected at least 2",
    ),
    "one-level-too-deep": (
        made(bad.write, "images/train/all/cat/a.png", bad.picture()),
        OWN,
        "1 class folder (cat)",
    ),
    "class-without-images": (
        images_then(lambda root: (root / "train" / "zebra").mkdir()),
        OWN,
        "zebra: no images; expected files such as",
    ),
    "test-of-other-classes": (
        images_then(lambda root: (root / "test" / "class_1").rename(root / "test" / "class_7")),
        OWN,
        "it lacks class_1, of which there are training images",
    ),
    "folders-in-a-loop": (
        images_then(lambda root: os.symlink(root / "train", root / "train" / "class_0" / "more")),
        OWN,
        "leads back to",
    ),
    "batch-larger-than-the-folder": (
        made(bad.images),
        f"{OWN} --config.train.batch_size=99",
        "larger than the 11",
    ),
    "run-among-the-images": (
        made(bad.images),
        f"{OWN} --workdir={{t}}/images/train/run",
        "is among the images of data.root",
    ),
    "dry-run-of-a-damaged-image": (
        made(bad.images, x=b""),
        f"{OWN} --dry_run",
        "the file is empty",
    ),
    "image-size-of-no-patch": (
        made(bad.images),
        f"{OWN} --config.model.image_size=12",
        "multiple of the patch size 8",
    ),
    "unlabelled-root-missing": (
        made(bad.images),
        f"{OWN} --config.data.unlabelled_root={{t}}/more --config.rdrop.unlabelled_batch_size=2",
        "data.unlabelled_root: ",
    ),
    "more-labels-than-images": (
        made(bad.images),
        f"{OWN} --config.data.labels_per_class=7",
        "has only",
    ),
}

# These are found when the image is read, which is in training.
DAMAGED_IMAGES = {
    "empty": (
        made(bad.images, x=b""),
        OWN,
        "002.png: not a readable image (the file is empty)",
    ),
    "text": (made(bad.images, x=b"hello"), OWN, "of no known format"),
    "cut-short": (
        made(bad.images, x=bad.picture(64)[:300]),
        OWN,
        "002.png: not a readable image",
    ),
    "wrong-checksum": (
        made(bad.images, x=bad.picture().replace(b"IHDR", b"IHDR\1", 1)),
        OWN,
        "not a readable image",
    ),
    "bomb": (
        made(bad.images, x=bad.bomb()),
        OWN,
        "002.png: not a readable image (",
    ),
    "small-bomb": (made(bad.images, x=bad.bomb(11_000)), OWN, "not a readable image"),
    "largest-bomb": (
        made(bad.images, x=bad.bomb(2**31 - 1)),
        OWN,
        "expected up to 89,478,485 in all",
    ),
    "link-to-nothing": (
        images_then(lambda root: os.symlink("gone.png", root / "train" / "class_0" / "a.png")),
        OWN,
        "no such file",
    ),
    "link-to-itself": (
        images_then(lambda root: os.symlink("a.png", root / "train" / "class_0" / "a.png")),
        OWN,
        "no such file",
    ),
    "damaged-tiff": (
        images_then(lambda root: bad.write(root, "train/class_0/a.tif", b"II*\0" + b"\xff" * 30)),
        OWN,
        "a.tif: not a readable image",
    ),
    "none-is-readable": (
        images_then(lambda root: [path.write_bytes(b"") for path in root.rglob("*.png")]),
        f"{OWN} --config.data.on_corrupt=skip",
        "none of the training images is readable",
    ),
    "in-a-worker": (
        made(bad.images, x=b""),
        f"{OWN} --config.data.workers=1",
        "the file is empty",
    ),
}
