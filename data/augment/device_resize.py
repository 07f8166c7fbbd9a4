"""Images enlarged on the device: Pillow's resampling as two small matrices an image, the same to
the bit.

Source: Pillow's `Image.resize`, bicubic (Keys, 1981, a = -0.5) or bilinear, without the
antialiasing of a reduction. As there, rows of pixels are resampled first, weights are multiples of
2^-22, and the result of each axis is rounded to 8 bits. Each weight is split in two, `(high + low)
/ 2^10`: `high` is an integer and `low` a multiple of 2^-12, both of at most 11 bits. So float32 and
even TensorFloat-32 hold all products, and float32 all sums exactly, in any order.
"""

from __future__ import annotations

import paddle
from paddle import Tensor

_HIGH, _LOW = 2.0**10, 2.0**12  # units of `high` in the weight 1, and of `low` in one of `high`


def _bicubic(distance: Tensor) -> Tensor:
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * -0.5
    return paddle.where(distance < 1, near, paddle.where(distance < 2, far, paddle.zeros_like(far)))


def _bilinear(distance: Tensor) -> Tensor:
    return (1 - distance).clip(min=0)


_KERNELS = {"bicubic": (_bicubic, 2), "bilinear": (_bilinear, 1)}  # with their reach, in pixels
_KERNELS[""] = _KERNELS["bicubic"]  # of a config that no weights have filled in


def enlarge(images: Tensor, windows: Tensor, interpolation: str) -> Tensor:
    """Cut out and enlarge.

    Args:
        images: uint8 `(B, C, H, W)`.
        windows: int32 `(B, 2, 3 + S)`, those of the images' views (`data/augment/device_resize_views.py`).
        interpolation: `bicubic` or `bilinear`.

    Returns:
        uint8 `(B, C, S, S)`.
    """
    rows, columns = (
        _weights(windows[:, axis], side, interpolation)
        for axis, side in enumerate(images.shape[2:])
    )
    pixels = images.astype("float32")
    across = _levels(
        *(paddle.matmul(pixels, part, transpose_y=True) for part in columns)
    ).floor_()  # (B, C, H, S)
    return _levels(*(paddle.matmul(part, across) for part in rows)).astype("uint8")  # (B, C, S, S)


def _levels(high: Tensor, low: Tensor) -> Tensor:
    """Of sums by both parts of the weights, grey levels, with a fraction that is to be cut off;
    `low` is used up.
    """
    return low.floor_().add_(high).scale_(1 / _HIGH, bias=0.5).clip_(0, 255)


def _weights(axis: Tensor, side: int, interpolation: str) -> tuple[Tensor, Tensor]:
    """What each of `side` pixels weighs in each of those that are seen, `high` and `low`.

    Args:
        axis: int32 `(B, 3 + S)`, an axis of the windows.
        side: of the images, in pixels.
        interpolation: as `enlarge` has it.

    Returns:
        Both float32 `(B, 1, S, side)`.
    """
    kernel, reach = _KERNELS[interpolation]
    begin, length, resized = (axis[:, place].reshape([-1, 1, 1]) for place in range(3))
    places = axis[:, 3:].unsqueeze(-1)  # (B, S, 1)
    centre = (places.astype("float64") + 0.5) * (
        length.astype("float64") / resized.astype("float64")
    )
    pixels = (centre - 0.5).floor().astype("int32") + paddle.arange(
        1 - reach, 1 + reach, dtype="int32"
    )  # (B, S, taps)
    weights = kernel((pixels.astype("float64") - centre + 0.5).abs())
    inside = paddle.logical_and(paddle.logical_and(pixels >= 0, pixels < length), places >= 0)
    weights = paddle.where(inside, weights, paddle.zeros_like(weights))
    weights = weights / paddle.where(
        places >= 0, weights.sum(-1, keepdim=True), paddle.ones_like(centre)
    )
    weights = weights.sign() * (weights.abs() * (_HIGH * _LOW) + 0.5).floor() / _LOW
    high = (weights + 0.5).floor()
    return _spread(high, pixels + begin, side, reach), _spread(
        weights - high, pixels + begin, side, reach
    )


def _spread(weights: Tensor, pixels: Tensor, side: int, margin: int) -> Tensor:
    """Weights `(B, S, taps)` of pixels `-margin ... side + margin - 1` as rows of a matrix `(B, 1,
    S, side)`.
    """
    batch, seen, width = *weights.shape[:2], side + 2 * margin
    rows = paddle.arange(batch * seen, dtype="int32").reshape([batch, seen, 1])
    index = (rows * width + pixels + margin).reshape([-1])
    flat = paddle.scatter(
        paddle.zeros([batch * seen * width]), index, weights.astype("float32").reshape([-1])
    )
    return flat.reshape([batch, 1, seen, width])[:, :, :, margin : margin + side]
