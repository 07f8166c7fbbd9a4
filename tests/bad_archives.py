"""Rows of `test_bad_input.py`: archives and folders of published data sets."""

import os

import bad_files as bad
from bad_files import (
    CIFAR,
    IMAGENET,
    TINY,
    cifar_file,
    cut_short,
    made,
    nothing,
    tiny_with,
    zip_in_zip,
)

ARCHIVES = {
    "cifar-missing": (nothing, CIFAR, "is not cifar-10-python.tar.gz"),
    "cifar-is-text": (
        made(bad.write, "cifar-10-python.tar.gz", "x"),
        CIFAR,
        "not a readable tar archive",
    ),
    "cifar-is-empty": (
        made(bad.write, "cifar-10-python.tar.gz", ""),
        CIFAR,
        "not a readable tar archive",
    ),
    "cifar-is-a-zip": (
        made(bad.archive, "a.zip", {"a": "b"}),
        f"{CIFAR}/a.zip",
        "not a readable tar archive",
    ),
    "cifar-is-another-tar": (
        made(bad.archive, "cifar-10-python.tar.gz", {"a": "b"}),
        CIFAR,
        "is not in the archive",
    ),
    "cifar-is-cut-short": (
        cut_short(
            "cifar-10-python.tar.gz",
            made(bad.archive, "cifar-10-python.tar.gz", {"a": os.urandom(20_000)}),
        ),
        CIFAR,
        "or cut short",
    ),
    "cifar-labels-too-high": (
        made(bad.cifar, labels=(0, 1, 0, 7)),
        CIFAR,
        "labels from 0 to 7, expected 0 to 1",
    ),
    "cifar-labels-negative": (made(bad.cifar, labels=(0, 1, 0, -1)), CIFAR, "labels from -1 to 1"),
    "cifar-labels-not-whole": (
        made(bad.cifar, labels=(0, 1, 0, 0.5)),
        CIFAR,
        "labels are not integers",
    ),
    "cifar-labels-too-few": (made(bad.cifar, labels=(0, 1)), CIFAR, "4 images with 2 labels"),
    "cifar-without-images": (made(bad.cifar, images=0, labels=()), CIFAR, "train has no images"),
    "cifar-of-one-class": (made(bad.cifar, names=(b"cat",), labels=(0,) * 4), CIFAR, "1 classes"),
    "cifar-classes-twice": (made(bad.cifar, names=(b"cat", b"cat")), CIFAR, "of which 1 differ"),
    "cifar-images-too-small": (
        made(bad.cifar, width=100),
        CIFAR,
        "not in CIFAR's official format",
    ),
    "cifar-file-is-empty": (
        cifar_file("data_batch_3", b""),
        CIFAR,
        "data_batch_3: not a readable pickle",
    ),
    "cifar-file-is-a-list": (
        cifar_file("data_batch_3", b"\x80\x02]."),
        CIFAR,
        "not in CIFAR's official format",
    ),
    "cifar-100-of-10": (
        made(bad.cifar),
        f"{CIFAR} --config.data.name=cifar100",
        "is not cifar-100-python.tar.gz",
    ),
    "tiny-missing": (nothing, TINY, "is not there; expected tiny-imagenet-200.zip"),
    "tiny-root-not-given": (nothing, f"{TINY} --config.data.root=", "data.root is empty"),
    "tiny-is-text": (
        made(bad.write, "tiny-imagenet-200.zip", "hello"),
        TINY,
        "not a readable zip archive",
    ),
    "tiny-is-empty": (
        made(bad.write, "tiny-imagenet-200.zip", ""),
        TINY,
        "not a readable zip archive",
    ),
    "tiny-is-cut-short": (
        cut_short("tiny-imagenet-200.zip", made(bad.tiny)),
        TINY,
        "not a readable zip archive",
    ),
    "tiny-is-a-zip-in-a-zip": (zip_in_zip, TINY, "is it Tiny ImageNet?"),
    "tiny-without-classes": (tiny_with("wnids.txt", ""), TINY, "wnids.txt lists 0 classes"),
    "tiny-classes-twice": (tiny_with("wnids.txt", "n01\nn02\nn02\n"), TINY, "of which 2 differ"),
    "tiny-classes-binary": (tiny_with("wnids.txt", b"\xff\xfe"), TINY, "wnids.txt lists 0 classes"),
    "tiny-class-unknown": (
        tiny_with("val/val_annotations.txt", "val_0.JPEG\tn09\n"),
        TINY,
        "the class n09",
    ),
    "tiny-without-annotations": (
        tiny_with("val/val_annotations.txt", None),
        TINY,
        "has neither class folders nor val_annotations.txt",
    ),
    "tiny-annotations-binary": (
        tiny_with("val/val_annotations.txt", b"\xff\t\xff"),
        TINY,
        "is not readable",
    ),
    "tiny-annotations-of-spaces": (
        tiny_with("val/val_annotations.txt", "a.JPEG n01\n"),
        TINY,
        "line 1: a.JPEG is not there",
    ),
    "tiny-class-without-images": (
        made(bad.tiny, **{f"train/n02/images/n02_{number}.JPEG": None for number in range(3)}),
        TINY,
        "train has no images of n02",
    ),
    "tiny-image-empty": (
        tiny_with("train/n01/images/n01_0.JPEG", b""),
        TINY,
        "n01_0.JPEG: not a readable image",
    ),
    "tiny-image-of-another-size": (
        tiny_with("train/n01/images/n01_0.JPEG", bad.picture(32, "jpeg")),
        TINY,
        "32 x 32 pixels, expected 64 x 64",
    ),
    "tiny-cache-is-a-file": (
        lambda place, run: (bad.tiny(place), bad.write(place, "cache", "x")),
        TINY,
        "set data.cache_dir to another folder",
    ),
    "imagenet-without-train": (
        made(bad.write, "imagenet/a", "x"),
        IMAGENET,
        "has no folder train",
    ),
    "imagenet-without-labels": (made(bad.imagenet, None), IMAGENET, "val/ is flat, and neither"),
    "imagenet-label-too-high": (
        made(bad.imagenet, "val_0.png 0\nval_1.png 7\n"),
        IMAGENET,
        "labels from 0 to 7",
    ),
    "imagenet-labels-are-names": (
        made(bad.imagenet, "val_0.png cat\n"),
        IMAGENET,
        "are not readable",
    ),
    "imagenet-label-missing": (
        made(bad.imagenet, "val_0.png 0\n"),
        IMAGENET,
        "no label for val_1.png",
    ),
    "imagenet-solution-of-another-kind": (
        lambda place, run: (
            bad.imagenet(place, None),
            bad.write(place, "imagenet/LOC_val_solution.csv", "ImageId,PredictionString\nval_0\n"),
        ),
        IMAGENET,
        "are not readable",
    ),
    "imagenet-development-kit-damaged": (
        lambda place, run: (
            bad.imagenet(place, None),
            bad.write(place, "imagenet/kit/ILSVRC2012_validation_ground_truth.txt", "1\n2\n"),
            bad.write(place, "imagenet/kit/meta.mat", "x"),
        ),
        IMAGENET,
        "meta.mat",
    ),
}
