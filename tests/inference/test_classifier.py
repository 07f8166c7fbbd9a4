"""A classifier: every kind of image, weights of any library, names of any language."""

from __future__ import annotations

import json

import numpy as np
import paddle
import pytest
from conftest import paint, run_program
from PIL import Image
from small_weights import CLASSES, SIZE, write_own, write_timm

import models
from common.errors import UserError
from inference import Prediction, load
from inference.prediction import predicted


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_own(tmp_path_factory.mktemp("own") / "weights.safetensors")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three class folders of seven images."""
    return paint(tmp_path_factory.mktemp("photos") / "photos", 3, 7)


@pytest.fixture(scope="module")
def classifier(weights):
    return load(weights)


@pytest.fixture
def picture(photos):
    return photos / "class_1" / "003.png"


def _same(one, other) -> bool:
    return one.name == other.name and one.probabilities == pytest.approx(other.probabilities, 1e-6)


def test_an_image_against_the_model_itself(classifier, picture):
    """Resized by Pillow, normalised and passed by hand."""
    image = Image.open(picture)
    side = round(SIZE / 0.875)
    scale = side / min(image.size)
    sides = [round(scale * length) for length in image.size]
    resized = np.asarray(image.resize(sides, Image.Resampling.BICUBIC))
    top, left = (round((length - SIZE) / 2) for length in resized.shape[:2])
    cut = resized[top : top + SIZE, left : left + SIZE].transpose(2, 0, 1)
    assert np.abs(cut.astype(int) - classifier.read(picture)).max() <= 1
    x = (classifier.read(picture) / 255 - 0.5) / 0.5
    logits = classifier.model(paddle.to_tensor(x[None].astype("float32"))).numpy()[0]
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    found = classifier(picture)
    assert list(found.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert list(found.probabilities) == list(CLASSES)
    assert found.name == CLASSES[int(expected.argmax())]
    assert found.probability == max(found.probabilities.values())


def test_every_kind_of_image_is_the_same_image(classifier, picture):
    opened = Image.open(picture)
    array = np.asarray(opened)
    expected = classifier(picture)
    for image in (str(picture), picture.read_bytes(), opened, array):
        assert _same(classifier(image), expected), type(image)
    with_alpha = np.dstack([array, np.full(array.shape[:2], 255, np.uint8)])
    assert _same(classifier(with_alpha), expected)
    assert _same(classifier(opened.convert("RGBA")), expected)


def test_grey_and_transparent_arrays(classifier):
    grey = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
    expected = classifier(np.repeat(grey[..., None], 3, axis=2))
    for image in (grey, grey[..., None], Image.fromarray(grey)):
        assert _same(classifier(image), expected)
    clear = np.zeros((20, 24, 4), np.uint8)  # nothing is seen of it: white
    assert _same(classifier(clear), classifier(np.full((20, 24, 3), 255, np.uint8)))


def test_lists_and_batches(classifier, photos):
    paths = sorted(photos.rglob("*.png"))
    alone = [classifier(path) for path in paths]
    for batch in (1, 4, 100):
        for one, other in zip(classifier(paths, batch=batch), alone):
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    arrays = np.stack([np.asarray(Image.open(path)) for path in paths[:5]])
    assert [one.name for one in classifier(arrays)] == [one.name for one in alone[:5]]
    assert classifier([]) == []
    assert isinstance(classifier((paths[0],)), list)
    assert isinstance(classifier(paths[0]), Prediction)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), r"array of float32, 8x8x3: .* 255\)\.round\(\)"),
        (np.zeros((8, 8, 3), np.int64), "array of int64"),
        (np.zeros((3, 8, 8), np.uint8), r"3x8x8: .*transpose\(1, 2, 0\)"),
        (np.zeros((8, 8, 2), np.uint8), "expected .height, width, 3."),
        (np.zeros((0, 8, 3), np.uint8), "8 x 0 pixels"),
        (np.zeros((2, 300, 3), np.uint8), "at most 100 times"),
        (None, "an image of NoneType: expected a path"),
        (7, "an image of int"),
        (b"no image", "of no known format"),
        ("absent.png", "absent.png: .*no such file"),
    ],
)
def test_what_is_no_image(classifier, picture, image, message):
    with pytest.raises(UserError, match=message) as caught:
        classifier(image)
    assert "on_corrupt" not in str(caught.value)
    with pytest.raises(UserError, match=f"image 1: .*{message}"):
        classifier([picture, image])


def test_a_damaged_image_of_pillows(classifier, picture, tmp_path):
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:-200])
    with pytest.raises(UserError, match="an image of Pillow's: can't be read"):
        classifier(Image.open(tmp_path / "cut.png"))


def test_a_stream_goes_on_behind_what_is_no_image(classifier, picture):
    taken = []

    def images():
        for number in range(1000):
            taken.append(number)
            yield UserError("given") if number == 1 else None if number == 2 else picture

    stream = classifier.stream(images(), batch=4)
    found = [next(stream) for _ in range(4)]
    assert len(taken) <= 4 * 4  # a batch, and those that are read ahead
    assert [isinstance(one, UserError) for one in found] == [False, True, True, False]
    assert str(found[1]) == "given"
    assert _same(found[0], found[3])
    with pytest.raises(UserError, match="a batch of 0 images"):
        next(classifier.stream([picture], batch=0))


def test_a_prediction():
    found = predicted(("a", "b", "c", "d"), [0.2, 0.4, 0.4, 0.0])
    assert (found.name, found.probability) == ("b", 0.4)
    assert found.top(3) == [("b", 0.4), ("c", 0.4), ("a", 0.2)]
    assert len(found.top(9)) == 4
    assert repr(found) == "Prediction(name='b', probability=0.4000)"
    name, probability, _ = found
    assert (name, probability) == ("b", 0.4)


def test_other_names_of_the_classes(weights, picture, tmp_path):
    number = CLASSES.index(load(weights)(picture).name)
    (tmp_path / "labels.txt").write_text("cat\n狗\nneither of them\n", encoding="utf-8")
    for classes in (["cat", "狗", "neither of them"], tmp_path / "labels.txt"):
        named = load(weights, classes=classes)
        assert named(picture).name == ("cat", "狗", "neither of them")[number]
    (tmp_path / "numbered.txt").write_text("2 c\n0 a\n1 b\n")
    assert load(weights, classes=str(tmp_path / "numbered.txt")).classes == ("a", "b", "c")
    with pytest.raises(UserError, match="is of 3 classes, but 2 names"):
        load(weights, classes=["a", "b"])
    (tmp_path / "gaps.txt").write_text("0 a\n1 b\n5 c\n")
    with pytest.raises(UserError, match="have gaps"):
        load(weights, classes=tmp_path / "gaps.txt")
    with pytest.raises(UserError, match="of the model vit_n_8, not deit_ti"):
        load(weights, model="deit_ti")


def test_a_thousand_classes_and_one(tmp_path, picture):
    many = load(write_own(tmp_path / "many.safetensors", [f"n{number}" for number in range(1000)]))
    assert sum(many(picture).probabilities.values()) == pytest.approx(1)
    one = load(write_own(tmp_path / "one.safetensors", ["only"]))
    assert one(picture) == ("only", 1.0, {"only": 1.0})


@pytest.mark.parametrize(
    ("count", "stated", "classes", "said"),
    [
        (3, {"num_features": 48, "label_names": ["x", "y", "z"]}, ("x", "y", "z"), ""),
        (
            3,
            {"model_type": "vit", "hidden_size": 48, "id2label": {"1": "狗", "0": "猫", "2": "狗"}},
            ("猫", "狗", "狗 (class 2)"),
            "",
        ),
        (2, None, ("class 0", "class 1"), "nothing names the 2 classes"),
        (1000, None, models.imagenet_ids(), "ImageNet's 1000"),
    ],
)
def test_weights_of_other_libraries(tmp_path, photos, picture, count, stated, classes, said):
    """Logits are those of the model that was written; the names are what is known of them."""
    if stated and "label_names" in stated:
        stated = {**stated, "architecture": "vit_nano", "pretrained_cfg": {}}
    folder = write_timm(tmp_path / "theirs", count, stated)
    found = load(folder, model="vit_n_8")
    assert found.classes == classes
    assert said in " ".join(found.said)
    assert f"vit_n_8 at {found.config.model.image_size} px" in found.said[0]
    model = models.create("vit_n_8", count, found.config.model.image_size)
    models.load_weights(model, folder / "model.safetensors")
    model.eval()
    pixels = found.read(picture)[None]
    expected = model(models.normalise(paddle.to_tensor(pixels), found.config.model)).numpy()
    if not (stated and "model_type" in stated):  # of which config.json says another epsilon
        assert found.logits(pixels) == pytest.approx(expected, abs=1e-6)
    names = [f"name {number}" for number in range(count)]
    assert load(folder, "auto", classes=names).classes == tuple(names)


def test_weights_that_can_not_classify(tmp_path):
    folder = write_timm(tmp_path / "theirs", 3)
    arrays, _ = models.read_arrays(folder / "model.safetensors")
    for name in ("head.weight", "head.bias"):
        arrays.pop(name)
    models.write_arrays(tmp_path / "headless.safetensors", arrays, None)
    with pytest.raises(UserError, match="has no head for classes"):
        load(tmp_path / "headless.safetensors")
    with pytest.raises(UserError, match="is of 3 classes, but 4 names"):
        load(folder, classes=list("abcd"))
    with pytest.raises(UserError, match="no such weights file"):
        load(tmp_path / "absent.pth")
    with pytest.raises(UserError, match="'vit_n_9' is not known"):
        load(folder, model="vit_n_9")


@pytest.mark.slow
def test_one_line_in_a_shell(weights, picture):
    """All cores are used, and nothing else is printed."""
    code = f"from inference import load; print(load({str(weights)!r})({str(picture)!r}).name)"
    code += "; import os; print(os.environ['OMP_NUM_THREADS'])"
    done = run_program("-c", code)
    assert done.stderr == ""
    assert done.stdout.split("\n")[0] == load(weights)(picture).name


def test_the_config_is_json(weights):
    """What a classifier knows of itself can be written down."""
    assert json.dumps(load(weights).config.to_dict())
