"""The same training or evaluation step with PyTorch and timm, for `tools.benchmark --peer timm` to
compare with.

PyTorch and timm are no requirements of this project: install them where you want to compare.

    pip install torch timm
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import numpy as np

from common.errors import UserError


@contextlib.contextmanager
def without_torchvision_operators() -> Iterator[None]:
    """torchvision's wheels may be of another build than PyTorch's; timm imports it, but needs none
    of its operators.
    """
    import torch

    register = torch.library.register_fake

    def tolerant(name, *arguments, **fields):
        if isinstance(name, str) and name.startswith("torchvision::"):
            return lambda function: function
        return register(name, *arguments, **fields)

    torch.library.register_fake = tolerant
    try:
        yield
    finally:
        torch.library.register_fake = register


def _create(name: str, image_size: int, drop_rate: float):
    """timm's model of one of our names, with dropout behind the position embedding, the projection
    and in the MLP.
    """
    from models.weights.published import timm_name

    try:
        with without_torchvision_operators():
            import timm
    except ImportError as error:
        raise UserError(
            f"--peer timm needs PyTorch and timm ({error}): pip install torch timm"
        ) from None
    rates = {"drop_rate": drop_rate, "proj_drop_rate": drop_rate}
    if not name.startswith("resnet"):
        rates["pos_drop_rate"] = drop_rate
    else:
        rates.pop("proj_drop_rate")
    if name.startswith("swin"):
        rates.pop("pos_drop_rate")
    return timm.create_model(timm_name(name), num_classes=1000, img_size=image_size, **rates)


def _loss(logits, labels, alpha: float):
    """R-Drop's per-sample objective on two copies, as the paper's Algorithm 1 has it; cross-entropy
    on one.
    """
    from torch.nn import functional as F

    if len(logits) == len(labels):
        return F.cross_entropy(logits, labels)
    first, second = logits.chunk(2)
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    kl = F.kl_div(p, q, reduction="batchmean", log_target=True) + F.kl_div(
        q, p, reduction="batchmean", log_target=True
    )
    return (F.cross_entropy(first, labels) + F.cross_entropy(second, labels)) / 2 + alpha * kl / 2


def training(
    name: str, image_size: int, batch: int, copies: int, drop_rate: float
) -> Callable[[], float]:
    """A function that takes one step of SGD with momentum and gives its seconds.

    In several processes (the environment says so, as torchrun's does) each has `batch` images, and
    gradients are averaged by DistributedDataParallel.
    """
    import torch

    model = _create(name, image_size, drop_rate).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(model)
    images, labels = _batch(image_size, batch)

    def step() -> float:
        started = time.perf_counter()
        logits = model(torch.cat([images] * copies))
        _loss(logits, labels, alpha=3.0).backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - started

    return step


def evaluation(name: str, image_size: int, batch: int) -> Callable[[], float]:
    """A function that classifies one batch and gives its seconds."""
    import torch

    model = _create(name, image_size, 0.0).eval()
    images, _ = _batch(image_size, batch)

    @torch.inference_mode()
    def step() -> float:
        started = time.perf_counter()
        model(images)
        return time.perf_counter() - started

    return step


def _batch(image_size: int, batch: int):
    import torch

    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, 3, image_size, image_size)).astype(np.float32)
    return torch.from_numpy(images), torch.from_numpy(rng.integers(0, 1000, batch))
