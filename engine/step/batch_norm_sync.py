"""Keeps the running statistics of batch norms the same on all ranks."""

import math

import paddle
import paddle.distributed as dist
from paddle import nn

import models
from engine import distributed


def average_statistics(model: nn.Layer) -> None:
    """Sets the running statistics of batch norms to their mean over all ranks.

    Those of frozen batch norms do not change.
    """
    norms = models.batch_norms(model)
    if distributed.world_size() == 1 or not norms:
        return
    buffers = [buffer for norm in norms for buffer in (norm._mean, norm._variance)]
    joined = paddle.concat([buffer.flatten() for buffer in buffers])
    dist.all_reduce(joined)
    mean = joined / distributed.world_size()
    parts = mean.split([math.prod(buffer.shape) for buffer in buffers])
    for buffer, part in zip(buffers, parts):
        buffer.set_value(part.reshape(buffer.shape))
