"""The teacher of a distillation: a trained model of the zoo that is asked, and never changed.

It sees the images that the student sees (augmented and mixed), with the mean and the standard
deviation that its own weights expect, at its own size. That is resized on the device, bicubic
(Keys' kernel with a = -0.75, PyTorch's and Paddle's `interpolate`), without antialiasing, which
Paddle lacks: a teacher much smaller than the student sees aliases.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from ml_collections import ConfigDict
from paddle import Tensor, nn

import models
from common.errors import UserError
from common.files import sha256
from configs import default
from engine import distributed
from engine.state import run_weights
from models import InputStats, flops


class Teacher:
    """A frozen model that gives logits for the student's images. It is no layer: nothing trains,
    wraps or saves it.

    Args:
        model: with its weights; it is frozen here, and put into evaluation mode for good.
        image_size: side of the images that it takes, in pixels.
        stats: what its weights expect of images.
        student: the `model` part of the student's config, which says how the images come in.
        provenance: what is noted of it in the run's folder.
    """

    def __init__(
        self, model: nn.Layer, image_size: int, stats: InputStats, student, provenance: dict
    ):
        model.eval()
        for parameter in model.parameters():
            parameter.stop_gradient = True
        self.model, self.image_size, self.provenance = model, image_size, provenance
        mean, std, theirs, spread = (
            np.array(one) for one in (student.mean, student.std, stats.mean, stats.std)
        )
        self._scale, self._shift = _by_channel(std / spread), _by_channel((mean - theirs) / spread)

    @paddle.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits `(B, C)` of images `(B, 3, S, S)` that are normalised as the student wants
        them.
        """
        images = images * self._scale + self._shift
        if images.shape[-1] != self.image_size:
            images = F.interpolate(
                images, [self.image_size] * 2, mode="bicubic", align_corners=False
            )
        return self.model(images)

    def describe(self) -> str:
        """A start line."""
        count = flops.parameters(self.model)
        return f"teacher: {self.provenance['model']} at {self.image_size} px, {count:,} parameters, frozen"


def _by_channel(values: np.ndarray) -> Tensor:
    return paddle.to_tensor(values.reshape(1, 3, 1, 1), "float32")


def load_teacher(config: ConfigDict, classes: tuple[str, ...]) -> Teacher | None:
    """The teacher that a config names, with its weights; None where it names none.

    Args:
        config: a resolved one.
        classes: the data set's; () where they are not known (a dry run): then they can't be
            compared, and no part of a head for ImageNet can be found.

    Raises:
        UserError: when the weights can't be read, are those of another model, or are not for the
            classes of the data.
    """
    distill = config.distill
    if not distill.teacher:
        return None
    if not distill.weights:
        raise UserError(
            f"distill.teacher={distill.teacher} needs distill.weights: one that was not trained is no use"
        )
    path = models.locate(distill.weights)
    stored = run_weights.read(path)
    rows = models.imagenet_rows(classes) if distill.head == "imagenet" else None
    model, image_size = _build(config, stored.config)
    found = models.assign(model, stored.arrays, distill.weights, rows)
    if classes and stored.classes:
        theirs = stored.classes if rows is None else tuple(stored.classes[row] for row in rows)
        run_weights.check_classes(classes, theirs, f"the teacher's weights {distill.weights}")
    if found.initialised and rows != ():
        raise UserError(
            f"{distill.weights}: its head is not for the {config.model.num_classes} classes of the data, and the "
            "teacher needs one that is (distill.head=imagenet takes their part of one for ImageNet's 1000 classes)"
        )
    unnamed = (
        ""
        if stored.classes
        else "; they do not name their classes, which must be those of the data in its order"
    )
    distributed.say(f"teacher's weights: {distill.weights}: {found.summary()}{unnamed}")
    stats = models.input_stats(distill.teacher, distill.weights)
    provenance = {"model": distill.teacher, "source": distill.weights, "sha256": sha256(path)}
    return Teacher(model, image_size, stats, config.model, provenance)


def fresh_teacher(config: ConfigDict) -> Teacher:
    """A teacher of the right shape that knows nothing: for a dry run whose weights are not there
    yet.
    """
    model, image_size = _build(config, None)
    stats = models.input_stats(config.distill.teacher)
    return Teacher(model, image_size, stats, config.model, {"model": config.distill.teacher})


def _build(config: ConfigDict, stored: ConfigDict | None) -> tuple[nn.Layer, int]:
    """The teacher's model for the classes of the data, and its image size.

    Where its weights tell how they were trained, a distilled model is asked as it was evaluated: a
    head that was never trained must not be averaged in.
    """
    name = config.distill.teacher
    if stored and stored.model.name != name:
        raise UserError(
            f"{config.distill.weights}: its model is {stored.model.name}, not distill.teacher={name}"
        )
    fields = ConfigDict((stored or default.get_config()).model.to_dict())
    fields.name, fields.num_classes = name, config.model.num_classes
    fields.image_size = config.distill.image_size or fields.image_size or models.native_size(name)
    return models.build(fields), fields.image_size
