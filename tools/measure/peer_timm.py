"""The same training or evaluation step with PyTorch and timm, for `tools.benchmark --peer timm`.

PyTorch and timm are not requirements of this project: install them where you want to compare.

    pip install torch timm
"""

import contextlib
import os
import time
from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from common.errors import UserError
from tools.measure.interleaved import Step

_VIT_FIELDS = {  # timm's names of the fields of a ViT's shape, and ours
    "patch_size": "patch",
    "embed_dim": "width",
    "depth": "depth",
    "num_heads": "heads",
    "mlp_ratio": "mlp_ratio",
}


@contextlib.contextmanager
def without_torchvision_operators() -> Iterator[None]:
    """Lets a torchvision be imported that is of another build than PyTorch, such as its wheels.

    Its operators are then missing; timm imports it, but needs none of them.
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


def _create(model_config: ConfigDict, drop_rate: float):
    """Returns timm's model of one of our names, or of timm's own.

    For a plain ViT of which timm has no name it is timm's class with the same fields. Dropout is
    after the position embedding and the projection, and in the MLP.

    Raises:
        UserError: where timm is not installed, or has no such model.
    """
    from models import MODELS
    from models.families.vit import VisionTransformer
    from models.weights.sources.published import timm_name

    try:
        with without_torchvision_operators():
            import timm
    except ImportError as error:
        raise UserError(
            f"--peer timm needs PyTorch and timm ({error}): pip install torch timm"
        ) from None
    name = model_config.name
    fields = {"num_classes": model_config.num_classes, "drop_rate": drop_rate}
    if not name.startswith("resnet"):
        fields.update(proj_drop_rate=drop_rate, img_size=model_config.image_size)
    if not name.startswith(("resnet", "swin")):
        fields.update(pos_drop_rate=drop_rate)
    if timm_name(name):
        return timm.create_model(timm_name(name), **fields)
    spec = MODELS.get(name)
    if not spec or getattr(spec.make, "func", None) is not VisionTransformer:
        raise UserError(f"--peer timm: timm has no {name} (python -m tools.models lists names)")
    own = spec.make.keywords
    shape = {theirs: own[ours] for theirs, ours in _VIT_FIELDS.items()}
    return timm.models.vision_transformer.VisionTransformer(**shape, **fields)


def _loss(logits, labels, alpha: float):
    """Returns the per-sample objective of R-Drop for two copies (the paper's Algorithm 1).

    For one copy it is cross-entropy.
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


def _autocast(precision: str):
    """Returns a context in which PyTorch computes in a precision, where it thinks it safe."""
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


def training(config: ConfigDict, precision: str) -> Step:
    """Returns a function that takes one step of SGD with momentum, or of AdamW.

    When there are several processes (the environment says so, as that of torchrun does), each has
    the batch of `config`, and DistributedDataParallel averages their gradients.
    """
    import torch

    model = _create(config.model, config.model.drop_rate).train()
    if config.optim.name == "adamw":
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(model)
    images, labels = _batch(config)

    def step() -> float:
        started = time.perf_counter()
        with _autocast(precision):
            logits = model(torch.cat([images] * config.rdrop.copies)).float()
        _loss(logits, labels, alpha=3.0).backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - started

    return step


def evaluation(config: ConfigDict, precision: str) -> Step:
    """Returns a function that classifies one batch."""
    import torch

    model = _create(config.model, drop_rate=0.0).eval()
    images, _ = _batch(config)

    @torch.inference_mode()
    def step() -> float:
        started = time.perf_counter()
        with _autocast(precision):
            model(images)
        return time.perf_counter() - started

    return step


def _batch(config: ConfigDict):
    """Returns images `(B, 3, S, S)`, normally distributed, and random labels `(B,)`."""
    import torch

    rng, side, count = np.random.default_rng(0), config.model.image_size, config.train.batch_size
    images = rng.standard_normal((count, 3, side, side)).astype(np.float32)
    labels = rng.integers(0, config.model.num_classes, count)
    return torch.from_numpy(images), torch.from_numpy(labels)
