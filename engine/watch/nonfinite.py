"""Losses, gradients and weights that are no numbers any more: what is found out of them, and how
the run goes on.

The optimiser refuses a gradient that is not finite, so nothing has changed when the guard is asked.
What caused it is found by doing the step again, which the seed and the step decide wholly: other
steps pay nothing for it.
"""

from __future__ import annotations

import functools

import paddle
from paddle import Tensor, nn

import models
from common.errors import UserError, listed
from engine import distributed
from engine.results.training_meter import Meter
from engine.step.noise import noise
from engine.step.objective import Objective
from engine.step.optimizer import Optimizer
from engine.step.training_batches import TrainingSets, batches, image_names
from engine.watch.rank_comparison import check_ranks

_REMEDY = "lower optim.lr, or set optim.clip_norm"


class Rollback(Exception):
    """The run goes back to its newest checkpoint; `incidents` are all of the run so far, this one
    included.
    """

    def __init__(self, incidents: list[dict]):
        super().__init__(incidents[-1]["text"])
        self.incidents = incidents


class Guard:
    """Decides on steps that went wrong: the run stops, leaves the step out, or goes back.

    Args:
        config: a whole one, of which `train.nonfinite` decides.
        model: not wrapped for several cards.
        objective: of the run.
        optimizer: of the run.
        sets: what its micro-batches are of.
    """

    def __init__(
        self,
        config,
        model: nn.Layer,
        objective: Objective,
        optimizer: Optimizer,
        sets: TrainingSets,
    ):
        self.config, self.model, self.objective, self.optimizer, self.sets = (
            config,
            model,
            objective,
            optimizer,
            sets,
        )
        norms = models.batch_norms(model) if config.train.nonfinite == "skip" else []
        self._statistics = [value for norm in norms for value in (norm._mean, norm._variance)]
        self._kept: list[Tensor] = []

    def lr_factor(self, incidents: list[dict]) -> float:
        """What the rates are multiplied by after the rollbacks so far."""
        return self.config.train.rollback_lr_factor ** counts(incidents)["rollbacks"]

    def begin(self, step: int) -> None:
        """Get ready for the step behind `step`: compare the ranks where that is due (see
        `check_ranks`).

        What its forward passes change, the running statistics of batch norms, is kept in case it is
        left out.
        """
        every = self.config.train.check_ranks_every_steps
        if every and step % every == 0:
            self._check_ranks(step)
        self._kept = [value.clone() for value in self._statistics]

    def refused(self, progress: dict, log, meter: Meter) -> None:
        """Decide on a step that the optimiser has refused, the one behind `progress["step"]`.

        Raises:
            UserError: where the run is to stop, on all ranks.
            Rollback: where it is to go back, likewise.
        """
        norm, done = self.optimizer.grad_norm.item(), progress["step"]
        cause = find_cause(self.config, self.model, self.objective, self.sets, done)
        text = (
            cause
            or f"the gradient's norm is {norm}, though the loss, all layers and all gradients are finite"
        )
        self._decide(done + 1, text, progress, log)
        meter.drop(self.config.train.accumulation_steps)
        for value, kept in zip(self._statistics, self._kept):
            value.set_value(kept)

    def check_state(self, progress: dict, log) -> None:
        """See that the weights are good and the same everywhere, before anything is made of them.

        An update of a finite gradient at a rate that is far too high leaves others: it can't be
        left out any more.

        Raises:
            UserError: when they are not; on all ranks.
            Rollback: likewise, where the run is to go back.
        """
        if self.config.train.check_ranks_every_steps:
            self._check_ranks(progress["step"])
        bad = _first_bad(self.model.state_dict())
        if bad:
            text = f"{bad} is not finite after the update, though the gradient was"
            self._decide(progress["step"], text, progress, log, skippable=False)

    def _check_ranks(self, step: int) -> None:
        check_ranks({**self.model.state_dict(), **self.optimizer.moments()}, step)

    def _decide(self, step: int, cause: str, progress: dict, log, skippable: bool = True) -> None:
        train, before, text = self.config.train, progress["incidents"], f"step {step}: {cause}"
        if train.nonfinite == "stop" or (train.nonfinite == "skip" and not skippable):
            others = (
                ""
                if train.nonfinite == "skip"
                else "; train.nonfinite=skip or rollback would go on"
            )
            raise UserError(f"{text}; {_REMEDY}{others}")
        if len(before) >= train.nonfinite_limit:
            raise UserError(
                f"{text}; that is one more than train.nonfinite_limit={train.nonfinite_limit}: {_REMEDY}"
            )
        incidents = [
            *before,
            {
                "step": step,
                "action": train.nonfinite,
                "text": text,
                "seconds": round(log.seconds, 3),
            },
        ]
        if train.nonfinite == "rollback":
            raise Rollback(incidents)
        progress["incidents"] = incidents
        log.incident(incidents[-1])


def train(trainer) -> bool:
    """Run the steps that are left, in as many goes as there are rollbacks.

    A rollback is what a kill would be: the trainer goes on from the newest checkpoint with nothing
    else left. It knows one incident more, which lowers its rate. A kill in the middle changes
    nothing: the run comes to the incident again.

    Args:
        trainer: of a run, after its `resume`.

    Returns:
        What its `train` gave in the last go.
    """
    while True:
        try:
            return trainer.train()
        except Rollback as rollback:
            incidents = rollback.incidents
        trainer.restart()
        step = trainer.resume(incidents)
        share = trainer.optimizer.lr_factor
        distributed.say(
            f"{incidents[-1]['text']}; back to step {step}, from there at {share:g} of the rate"
        )


def counts(incidents: list[dict]) -> dict[str, int]:
    """The steps that were left out and the rollbacks of a run, for its result."""
    actions = [incident["action"] for incident in incidents]
    return {"steps_skipped": actions.count("skip"), "rollbacks": actions.count("rollback")}


def find_cause(config, model: nn.Layer, objective: Objective, sets: TrainingSets, step: int) -> str:
    """Do a step again without updating anything, and tell where its first number that is not finite
    comes from.

    All ranks must call it, and get the same answer. Running statistics of batch norms change; the
    gradient is gone.

    Args:
        config: a whole one.
        model: not wrapped for several cards, in training mode, with the weights that the step began
            with.
        objective: of the run.
        sets: what its micro-batches are of.
        step: counted from 0.

    Returns:
        The layer (or the loss, or the parameter), the rank, and the images of the micro-batch;
        empty where all is finite this time.
    """
    names = image_names(config, sets, step)
    model.clear_gradients()
    for micro, batch in enumerate(batches(config, sets, step, step + 1, workers=0)):
        found = _look(config, model, objective, batch, step, micro)
        model.clear_gradients()
        texts = distributed.exchange(f"{found}; images: {listed(names[micro])}" if found else "")
        ranks = [rank for rank, text in enumerate(texts) if text]
        if ranks:
            where = f" on rank {listed([str(rank) for rank in ranks])}" if len(texts) > 1 else ""
            found, _, images = texts[ranks[0]].partition("; images: ")
            return f"{found}{where}; images: {images}"
    return ""


def _look(config, model: nn.Layer, objective: Objective, batch, step: int, micro: int) -> str:
    """What of a micro-batch is not finite first: a layer's output, the loss, or a gradient; empty
    for nothing.
    """
    bad: list[str] = []
    hooks = [
        layer.register_forward_post_hook(functools.partial(_note, bad, name))
        for name, layer in model.named_sublayers()
    ]
    try:
        with noise(config, step, micro):
            images, targets = objective.prepare(batch, step, micro)
            loss = objective(model(images, copies=objective.copies(step)), targets, step).total
            loss.backward()
    finally:
        for hook in hooks:
            hook.remove()
    if bad:
        return f"{bad[0]} is the first layer whose output is not finite"
    if not loss.isfinite().item():
        return f"the loss is {loss.item()}, while the outputs of all layers are finite"
    gradients = {
        name: value.grad for name, value in model.named_parameters() if value.grad is not None
    }
    first = _first_bad(dict(reversed(gradients.items())))  # the backward pass comes from the end
    return (
        f"the gradient of {first} is not finite, while the loss and the outputs of all layers are"
        if first
        else ""
    )


def _note(bad: list[str], name: str, layer: nn.Layer, inputs, output) -> None:
    """Note the name of a layer that is the first with an output that is not finite."""
    outputs = output if isinstance(output, (tuple, list)) else [output]
    if not bad and _first_bad(
        {str(place): one for place, one in enumerate(outputs) if isinstance(one, Tensor)}
    ):
        bad.append(name)


@paddle.no_grad()
def _first_bad(tensors: dict[str, Tensor]) -> str:
    """The name of the first tensor that is not finite; empty where all are."""
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    finite = [tensor.isfinite().all() for tensor in floats.values()]
    finite = paddle.stack(finite).numpy().tolist() if finite else []
    return "" if all(finite) else list(floats)[finite.index(False)]
