"""The data sets of the figures: their files, sizes, checksums, licences.

CIFAR-100: https://www.cs.toronto.edu/~kriz/cifar.html. Tiny ImageNet: https://cs231n.stanford.edu;
its publisher states no checksum, the one here is what public code compares with. ImageNet:
https://image-net.org; the checksums are those of torchvision 0.28.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataFile:
    """A file of a data set; `address` is empty where it is not downloaded without registration."""

    name: str
    bytes: int
    md5: str
    address: str = ""
    kept: str = ""  # folder below the home folder where it is kept


@dataclass(frozen=True)
class DataSet:
    """A data set; numbers are those of the whole one.

    Attributes:
        title: its name for people.
        classes, train_images, test_images: numbers.
        licence: what its publisher says.
        files: what is downloaded.
        decoded: bytes that are written into the cache when it is first read.
        registration: whether its publisher wants one; then --data must name it.
    """

    title: str
    classes: int
    train_images: int
    test_images: int
    licence: str
    files: tuple[DataFile, ...] = ()
    decoded: int = 0
    registration: bool = False

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


DATA_SETS = {
    "digits": DataSet(
        "handwritten digits of scikit-learn", 10, 1_297, 500, "CC BY 4.0 (UCI); in scikit-learn"
    ),
    "cifar100": DataSet(
        "CIFAR-100",
        classes=100,
        train_images=50_000,
        test_images=10_000,
        licence="none stated; the publisher asks to cite the report",
        files=(
            DataFile(
                "cifar-100-python.tar.gz",
                169_001_437,
                "eb9058c3a382ffc7106e4002c42a8d85",
                "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                ".cache/paddle/dataset/cifar",  # where Paddle keeps its own, too
            ),
        ),
    ),
    "tiny_imagenet": DataSet(
        "Tiny ImageNet",
        classes=200,
        train_images=100_000,
        test_images=10_000,
        licence="none stated; its images are ImageNet's: for research that is not commercial",
        files=(
            DataFile(
                "tiny-imagenet-200.zip",
                248_100_043,
                "90528d7ca1a48142e341f4ef8d21d0de",
                "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
                ".cache/rdrop/data",
            ),
        ),
        decoded=110_000 * 64 * 64 * 3,
    ),
    "imagenet": DataSet(
        "ImageNet (ILSVRC 2012)",
        classes=1_000,
        train_images=1_281_167,
        test_images=50_000,
        licence="for research that is not commercial; registration at https://image-net.org",
        files=(
            DataFile(
                "ILSVRC2012_img_train.tar", 147_897_477_120, "1d675b47d978889d74fa0da5fadfb00e"
            ),
            DataFile("ILSVRC2012_img_val.tar", 6_744_924_160, "29b22e2961454d5413ddabcf34fc5622"),
        ),
        registration=True,
    ),
}
