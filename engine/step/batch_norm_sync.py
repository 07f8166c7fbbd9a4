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
    buffers = [
        value for norm in models.batch_norms(model) for value in (norm._mean, norm._variance)
    ]
    if distributed.world_size() == 1 or not buffers:
        return
    joined = paddle.concat([buffer.flatten() for buffer in buffers])
    dist.all_reduce(joined)
    parts = (joined / distributed.world_size()).split([math.prod(one.shape) for one in buffers])
    for buffer, part in zip(buffers, parts):
        buffer.set_value(part.reshape(buffer.shape))
