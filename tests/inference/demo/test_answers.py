"""What the page says of a picture, without the page."""

import numpy as np
import pytest
from made_classifiers import disturb, made, random_images
from PIL import Image

import data
from common.errors import UserError
from inference.attention_maps import ROLLOUT, rollout
from inference.demo.answers import MASKS, Respondent, _in_turn, examples
from inference.pictures import enlarged, overlay, upright


@pytest.fixture
def classifier():
    found = made("vit_n_2", drop_rate=0.1)
    disturb(found.model)
    return found


def test_answer(classifier):
    image = random_images(2)[1]
    answer = Respondent(classifier).of_pixels(image, "truth")
    logits = classifier.logits(image[None])[0].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert [name for name, _ in answer.top] == [f"class {i}" for i in np.argsort(-expected)]
    np.testing.assert_allclose([p for _, p in answer.top], np.sort(expected)[::-1], rtol=1e-5)
    np.testing.assert_array_equal(answer.picture, upright(enlarged(image)))
    values = rollout(classifier, image[None])[0]
    np.testing.assert_array_equal(answer.overlay, overlay(enlarged(image), values))
    assert (answer.kind, answer.truth) == (ROLLOUT, "truth")


def test_doubt(classifier):
    """How many passes agree, and the middle nine tenths of the probability."""
    image = random_images(1)
    found = Respondent(classifier).of_pixels(image[0]).doubt
    passes = classifier.noisy_logits(image, MASKS)[:, 0].astype(np.float64)
    best = classifier.logits(image)[0].argmax()
    chances = np.sort((np.exp(passes) / np.exp(passes).sum(-1, keepdims=True))[:, best])
    assert found.agree == sum(one.argmax() == best for one in passes)
    assert found.low == pytest.approx(chances[0] + 0.95 * (chances[1] - chances[0]))
    assert found.high == pytest.approx(chances[-1] - 0.95 * (chances[-1] - chances[-2]))
    assert 0 < found.low < found.high < 1
    assert Respondent(classifier).of_pixels(image[0]).doubt == found


def test_no_dropout_no_doubt():
    assert Respondent(made("vit_n_2")).of_pixels(random_images(1)[0]).doubt is None


def test_few_classes():
    assert len(Respondent(made("vit_n_2", classes=2)).of_pixels(random_images(1)[0]).top) == 2


def test_file(classifier, tmp_path):
    path = tmp_path / "\u96f6 \U0001f436.png"
    Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(path)
    answer = Respondent(classifier).of_file(path)
    assert answer.truth is None
    assert (answer.picture == 99).all()


def test_broken_file(classifier, tmp_path):
    """The sentence has the name, and neither a folder nor a field of the config."""
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(UserError) as error:
        Respondent(classifier).of_file(tmp_path / "bad.png")
    assert str(error.value).startswith("bad.png: not a readable image")
    assert "on_corrupt" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def digits():
    found = made("vit_n_2", classes=10)
    found.classes = tuple("0123456789")
    return found


def test_examples():
    """All classes in turn, each image as the model sees it."""
    classifier = digits()
    found, reason = examples(classifier, 12)
    assert [one.truth for one in found] == [*"0123456789", "0", "1"]
    assert reason == ""
    source = data.build(classifier.config, "test").source
    first = next(i for i, label in enumerate(source.labels) if label == 3)
    expected = classifier.prepare(source.images[first])
    np.testing.assert_array_equal(found[3].pixels, expected)


def test_examples_of_other_classes(classifier):
    assert examples(classifier) == ([], "other_classes")


def test_examples_of_data_that_is_gone(tmp_path):
    classifier = digits()
    classifier.config.data.update(name="folder", root=str(tmp_path / "gone"))
    found, reason = examples(classifier)
    assert found == []
    assert "gone" in reason


def test_examples_are_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("common.download._download", lambda *_: pytest.fail("a download"))
    classifier = digits()
    classifier.config.data.name = "cifar10"
    found, reason = examples(classifier)
    assert found == []
    assert "nothing is downloaded" in reason


def test_damaged_examples_are_left_out(painted):
    for path in (painted / "test" / "class_0").glob("*.png"):
        path.write_bytes(b"x")
    classifier = made("vit_n_2", classes=3)
    classifier.classes = ("class_0", "class_1", "class_2")
    classifier.config.data.update(name="folder", root=str(painted))
    found, _ = examples(classifier, 4)
    assert [one.truth for one in found] == ["class_1", "class_2"] * 2


def test_in_turn():
    assert _in_turn([2, 2, 0, -1, 1, 0, 2]) == [2, 4, 0, 5, 1, 6]
    assert _in_turn([]) == []
