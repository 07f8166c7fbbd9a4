"""The tiny scale: the same stages with a nano model and a few steps, to rehearse a figure.

The data keeps its name and its official form, so the code that reads it is the same; the weights
are a file that is written first.
"""

from __future__ import annotations

from pathlib import Path

from tools.reproduction.published import costs
from tools.reproduction.published.kinds import Figure

BATCH, GLOBAL_BATCH = 2, 8  # images of a process at a time, and of an optimiser step
SIDE = 32  # pixels of the input
TRAIN_IMAGES, TEST_IMAGES = 2, 1  # made-up images of each class
WEIGHTS, DATA = "weights.safetensors", "data"  # in the folder of what is made up
_STEPS = 8


def model_name(figure: Figure) -> str:
    """Returns the nano model that takes the place of a figure's model."""
    name = next(iter(costs.stages(figure).values())).model.name
    if name.startswith("resnet"):
        return "resnet_18"
    return "vit_n_8_distilled" if "distilled" in name else "vit_n_8"


def fields(figure: Figure) -> dict[str, object]:
    """Returns the fields that make a figure's run small."""
    config = next(iter(costs.stages(figure).values()))
    small: dict[str, object] = {
        "train.steps": _STEPS,
        "train.epochs": 0.0,
        "train.reference_batch_size": GLOBAL_BATCH,
        "train.log_every_steps": 1,
        "train.checkpoint_every_steps": 2,
        "eval.every_steps": 4,
        "eval.batch_size": 64,
        "data.workers": 0,
        "optim.warmup_steps": min(1, config.optim.warmup_steps),
    }
    if config.optim.milestones:
        small["optim.milestones"] = (3, 6)
    if figure.data == "digits":
        return small
    small.update({"model.name": model_name(figure), "model.image_size": SIDE})
    small["data.max_images"] = 24
    if config.data.holdout:
        small["data.holdout"] = 0.25
    if config.distill.teacher:
        small.update({"distill.teacher": "vit_n_8", "distill.image_size": SIDE})
    return small


def needs_weights(figure: Figure) -> str:
    """Returns the field that names a weights file in this figure's config; empty for none."""
    config = next(iter(costs.stages(figure).values()))
    if config.distill.teacher:
        return "distill.weights"
    return "model.pretrained" if config.model.pretrained else ""


def weights_model(figure: Figure) -> str:
    """Returns the model that the made-up weights are of."""
    return "vit_n_8" if needs_weights(figure) == "distill.weights" else model_name(figure)


def folder(workdir: Path) -> Path:
    """Returns the folder of what is made up."""
    return workdir / "made_up"
