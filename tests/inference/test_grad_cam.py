"""Grad-CAM against its definition, without Paddle's gradient."""

import numpy as np
import paddle
import pytest
from made_classifiers import classifier_of, disturb, made, random_images

from common.errors import UserError
from inference import grad_cam as module
from inference.grad_cam import find_layer, grad_cam
from models.families.cnn_levit_t2t import Whole
from models.layers import DropRates, watched


def features_of(classifier, images):
    """Returns the layer of the features, and its output as NumPy."""
    layer = find_layer(classifier.model, classifier.normalised(images[:1]))
    found = []
    with watched([layer], after=lambda _, inputs, output: found.append(output.numpy())):
        logits = classifier.logits(images)
    return layer, found[0], logits


@pytest.mark.parametrize(("name", "size"), [("resnet_18", 96), ("swin_ti", 224)])
def test_it_is_cam_where_the_head_reads_a_mean(name, size):
    """The sum over channels of head weight times feature, over the number of places.

    Source: Zhou et al., arXiv:1512.04150.
    """
    classifier, images = made(name, size), random_images(2, size, size)
    _, features, logits = features_of(classifier, images)
    head = classifier.model.net.fc if name == "resnet_18" else classifier.model.head
    weight, bias = head.weight.numpy(), head.bias.numpy()
    if features.ndim == 4:
        features = features.transpose(0, 2, 3, 1).reshape(2, -1, features.shape[1])
    np.testing.assert_allclose(features.mean(axis=1) @ weight + bias, logits, rtol=1e-3, atol=1e-3)
    side = int(features.shape[1] ** 0.5)
    found = grad_cam(classifier, images, [3, 1])
    for one, label, expected in zip(found, (3, 1), features):
        expected = np.maximum(expected @ weight[:, label], 0) / side**2
        tolerance = 1e-5 * expected.max()
        np.testing.assert_allclose(one, expected.reshape(side, side), rtol=1e-4, atol=tolerance)
    assert abs(found[0] - grad_cam(classifier, images, [0, 1])[0]).max() > 0


def curved() -> Whole:
    """A small network whose head is not linear."""
    paddle.seed(0)
    nn = paddle.nn
    layers = nn.Conv2D(3, 4, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(64, 6)
    net = nn.Sequential(*layers, nn.Tanh(), nn.Linear(6, 5))
    disturb(net, 0.2)
    return Whole(net, ("5",), DropRates())


def test_differences():
    """The gradient is that which differences of the logits show."""
    classifier, images = classifier_of(curved()), random_images(2)
    layer, features, _ = features_of(classifier, images)
    assert features.shape == (2, 4, 4, 4)
    step = 1e-2

    def logits(changed):
        with watched([layer], after=lambda *_: paddle.to_tensor(changed)):
            return classifier.logits(images)

    slopes = np.zeros_like(features)
    for place in np.ndindex(*features.shape):
        up, down = features.copy(), features.copy()
        up[place] += step
        down[place] -= step
        slopes[place] = (logits(up) - logits(down))[place[0], (2, 4)[place[0]]] / (2 * step)
    weights = slopes.mean(axis=(2, 3), keepdims=True)
    expected = np.maximum((weights * features).sum(axis=1), 0)
    found = grad_cam(classifier, images, [2, 4])
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3 * expected.max())
    assert 0 < (expected > 0).mean() < 1


def test_nothing_stays_behind(monkeypatch):
    """Weights keep their gradient setting, and batches do not change a map."""
    classifier, images = classifier_of(curved()), random_images(5)
    before = classifier.logits(images)
    found = grad_cam(classifier, images, [0, 1, 2, 3, 4])
    assert not any(one.stop_gradient for one in classifier.model.parameters())
    assert all(one.grad is None for one in classifier.model.parameters())
    np.testing.assert_array_equal(classifier.logits(images), before)
    monkeypatch.setattr(module, "_BATCH", 2)
    again = grad_cam(classifier, images, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-6)


def test_refused():
    with pytest.raises(UserError, match="vit_n_2 has no feature map"):
        grad_cam(made("vit_n_2"), random_images(1), [0])
