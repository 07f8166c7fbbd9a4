"""The teacher of a distillation: a trained model that returns logits and never changes.

It sees the images that the student sees (augmented and mixed), normalised with the mean and the
standard deviation that its own weights expect, at its own size. They are resized on the device:
bicubic (Keys' kernel with a = -0.75, that of PyTorch's and Paddle's `interpolate`), and without
antialiasing, which Paddle lacks. So a teacher that is much smaller than the student sees aliases.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from ml_collections import ConfigDict
from paddle import Tensor, nn

import models
from common.errors import UserError
from configs import default
from engine import distributed
from engine.state import run_weights
from models import InputStats, flops


class Teacher:
    """A frozen model that returns logits for the student's images.

    It is not a layer: nothing trains, wraps or saves it.

    Args:
        model: with its weights; it is frozen here, and stays in evaluation mode.
        image_size: side of the images that it takes, in pixels.
        stats: mean and standard deviation of the images that its weights expect.
        student: the `model` part of the student's config, which says how its images are normalised.
        provenance: what the run's folder notes of it.
    """

    def __init__(
        self,
        model: nn.Layer,
        image_size: int,
        stats: InputStats,
        student: ConfigDict,
        provenance: dict[str, str],
    ):
        model.eval()
        for parameter in model.parameters():
            parameter.stop_gradient = True
        self.model, self.image_size, self.provenance = model, image_size, provenance
        scale = np.array(student.std) / stats.std
        shift = (np.array(student.mean) - stats.mean) / stats.std
        self._scale, self._shift = (
            paddle.to_tensor(values.reshape(1, 3, 1, 1), "float32") for values in (scale, shift)
        )

    @paddle.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Returns logits `(B, C)` of images `(B, 3, S, S)` that are normalised for the student."""
        images = images * self._scale + self._shift
        if images.shape[-1] != self.image_size:
            size = [self.image_size] * 2
            images = F.interpolate(images, size, mode="bicubic", align_corners=False)
        return self.model(images)

    def describe(self) -> str:
        """Returns the line about the teacher at the start of a run."""
        name, count = self.provenance["model"], flops.parameters(self.model)
        return f"teacher: {name} at {self.image_size} px, {count:,} parameters, frozen"


def load_teacher(config: ConfigDict, classes: tuple[str, ...]) -> Teacher | None:
    """Loads the teacher that a config names; None when it names none.

    Args:
        config: a resolved one.
        classes: of the data set; () where they are not known (a dry run): then they are not
            compared, and no rows of an ImageNet head can be found.

    Raises:
        UserError: when the weights can't be read, are those of another model, or are not for the
            classes of the data.
    """
    distill = config.distill
    if not distill.teacher:
        return None
    if not distill.weights:
        raise UserError(
            f"distill.teacher={distill.teacher} needs distill.weights: one that was not trained is "
            "no use"
        )
    stored = run_weights.read(distill.weights)
    rows = models.imagenet_rows(classes) if distill.head == "imagenet" else None
    model, image_size = _build(config, stored.config, distill.weights)
    report = models.assign(model, stored.arrays, distill.weights, rows)
    if classes and stored.classes:
        theirs = stored.classes if rows is None else tuple(stored.classes[row] for row in rows)
        run_weights.check_classes(classes, theirs, f"the teacher's weights {distill.weights}")
    if report.initialised and rows != ():
        raise UserError(
            f"{distill.weights}: its head is not for the {config.model.num_classes} classes of the "
            "data, and the teacher needs one that is (distill.head=imagenet takes their part of "
            "one for ImageNet's 1000 classes)"
        )
    unnamed = "; they do not name their classes, which must be those of the data in its order"
    distributed.say(
        f"teacher's weights: {distill.weights}: {'; '.join((report.summary(), *stored.said))}"
        f"{'' if stored.classes else unnamed}"
    )
    stats = models.input_stats(distill.teacher, distill.weights)
    provenance = {
        "model": distill.teacher,
        "source": distill.weights,
        "sha256": models.digest_of(distill.weights),
    }
    return Teacher(model, image_size, stats, config.model, provenance)


def fresh_teacher(config: ConfigDict) -> Teacher:
    """Returns an untrained teacher of the right shape: for a dry run without its weights."""
    model, image_size = _build(config, None, "")
    stats = models.input_stats(config.distill.teacher)
    return Teacher(model, image_size, stats, config.model, {"model": config.distill.teacher})


def _build(config: ConfigDict, stored: ConfigDict | None, source: str) -> tuple[nn.Layer, int]:
    """Builds the teacher's model for the classes of the data; returns also its image size.

    Its parts are what the weights at `source` tell.

    If the weights carry their config, a distilled model is used as it was evaluated: a head that
    was never trained must not be averaged in.
    """
    name = config.distill.teacher
    if stored and stored.model.name != name:
        raise UserError(
            f"{config.distill.weights}: its model is {stored.model.name}, not "
            f"distill.teacher={name}"
        )
    fields = ConfigDict((stored or default.get_config()).model.to_dict())
    fields.name, fields.num_classes = name, config.model.num_classes
    fields.parts = models.resolve(name, fields.parts, source)[1]
    fields.image_size = config.distill.image_size or fields.image_size or models.native_size(name)
    return models.build(fields), fields.image_size
