"""Finds where the first number that is not finite comes from: repeats the step with hooks.

The seed and the step decide a step wholly, so that it can be done again. Steps without trouble pay
nothing for it.
"""

from __future__ import annotations

import functools

import paddle
from ml_collections import ConfigDict
from paddle import Tensor, nn

from common.errors import listed
from data import Batch
from engine import distributed
from engine.step.forward import forward
from engine.step.objective import Objective
from engine.step.training_batches import TrainingSets, image_names, micro_batches
from models.layers import watched


def find_cause(
    config: ConfigDict, model: nn.Layer, objective: Objective, sets: TrainingSets, step: int
) -> str:
    """Repeats a step without an update, and says where its first bad number comes from.

    All ranks must call it, and get the same answer. Running statistics of batch norms change, and
    the gradient is lost.

    Args:
        config: of the run.
        model: not wrapped for several cards, in training mode, with the weights that the step
            began with.
        objective: of the run.
        sets: of which the micro-batches are.
        step: counted from 0.

    Returns:
        The layer (or the loss, or the parameter), the rank, and the images of the micro-batch;
        empty when all is finite this time.
    """
    names = image_names(config, sets, step)
    model.clear_gradients()
    for micro, batch in enumerate(micro_batches(config, sets, step, step + 1, workers=0)):
        found = _look(model, objective, batch, step, micro)
        model.clear_gradients()
        texts = distributed.exchange(f"{found}; images: {listed(names[micro])}" if found else "")
        ranks = [rank for rank, text in enumerate(texts) if text]
        if ranks:
            where = f" on rank {listed([str(rank) for rank in ranks])}" if len(texts) > 1 else ""
            found, _, images = texts[ranks[0]].partition("; images: ")
            return f"{found}{where}; images: {images}"
    return ""


@paddle.no_grad()
def first_bad(tensors: dict[str, Tensor]) -> str:
    """Returns the name of the first tensor that is not finite; empty when all are."""
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    finite = [tensor.isfinite().all() for tensor in floats.values()]
    finite = paddle.stack(finite).numpy().tolist() if finite else []
    return "" if all(finite) else list(floats)[finite.index(False)]


def _look(model: nn.Layer, objective: Objective, batch: Batch, step: int, micro: int) -> str:
    """Says what of a micro-batch is not finite first: a layer's output, the loss, or a gradient."""
    bad: list[str] = []
    names = {layer: name for name, layer in model.named_sublayers()}
    with watched(names, after=functools.partial(_note, bad, names)):
        loss = forward(model, objective, batch, step, micro).terms.total
        loss.backward()
    if bad:
        return f"{bad[0]} is the first layer whose output is not finite"
    if not loss.isfinite().item():
        return f"the loss is {loss.item()}, while the outputs of all layers are finite"
    gradients = {n: value.grad for n, value in model.named_parameters() if value.grad is not None}
    first = first_bad(dict(reversed(gradients.items())))  # the backward pass comes from the end
    if not first:
        return ""
    return (
        f"the gradient of {first} is not finite, while the loss and the outputs of all layers are"
    )


def _note(
    bad: list[str], names: dict[nn.Layer, str], layer: nn.Layer, inputs: object, output: object
) -> None:
    """Notes the name of the first layer with an output that is not finite."""
    outputs = output if isinstance(output, (tuple, list)) else [output]
    tensors = {str(place): one for place, one in enumerate(outputs) if isinstance(one, Tensor)}
    if not bad and first_bad(tensors):
        bad.append(names[layer])
