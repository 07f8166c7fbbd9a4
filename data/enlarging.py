"""Images enlarged on the device: Pillow's resampling as two small matrices an image, the same to the bit.

Source: Pillow's `Image.resize`, bicubic (Keys, 1981, a = -0.5) or bilinear, without the antialiasing of a reduction.
As there, rows of pixels are resampled first, weights are integers of 2^-22, and the result of each axis is rounded to
8 bits. Each weight is split in two integers of at most 11 bits, `high * 2^12 + low`, so that all products and sums are
integers that float32 holds exactly, and TensorFloat-32, too: neither the device nor the order of a sum matters.
"""

from __future__ import annotations

import paddle
from paddle import Tensor

_ONE, _PART = 2.0**22, 2.0**12  # the weight 1 and the part `high` of weights counts them in


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
        windows: int32 `(B, 2, 3 + S)`, those of the images' views (`data/views.py`).
        interpolation: `bicubic` or `bilinear`.

    Returns:
        uint8 `(B, C, S, S)`.
    """
    rows, columns = (_weights(windows[:, axis], side, interpolation) for axis, side in enumerate(images.shape[2:]))
    across = paddle.matmul(images.astype("float32"), columns.unsqueeze(1), transpose_y=True)  # (B, C, H, 2 S)
    down = paddle.matmul(rows.unsqueeze(1), _rounded(across, axis=3))  # (B, C, 2 S, S)
    return _rounded(down, axis=2).astype("uint8")


def _rounded(sums: Tensor, axis: int) -> Tensor:
    """Of sums by `high` and sums by `low` behind them, the nearest whole grey levels."""
    high, low = paddle.split(sums, 2, axis)
    return ((high + ((low + _ONE / 2) / _PART).floor()) / (_ONE / _PART)).floor().clip(0, 255)


def _weights(axis: Tensor, side: int, interpolation: str) -> Tensor:
    """What each of `side` pixels weighs in each of those that are seen, `high` and then `low`.

    Args:
        axis: int32 `(B, 3 + S)`, an axis of the windows.
        side: of the images, in pixels.
        interpolation: as `enlarge` has it.

    Returns:
        float32 `(B, 2 S, side)`, of integers.
    """
    kernel, reach = _KERNELS[interpolation]
    begin, length, resized = (axis[:, place].reshape([-1, 1, 1]) for place in range(3))
    places = axis[:, 3:].unsqueeze(-1)  # (B, S, 1)
    centre = (places.astype("float64") + 0.5) * (length.astype("float64") / resized.astype("float64"))
    pixels = (centre - 0.5).floor().astype("int32") + paddle.arange(1 - reach, 1 + reach, dtype="int32")  # (B, S, taps)
    weights = kernel((pixels.astype("float64") - centre + 0.5).abs())
    inside = paddle.logical_and(paddle.logical_and(pixels >= 0, pixels < length), places >= 0)
    weights = paddle.where(inside, weights, paddle.zeros_like(weights))
    weights = weights / paddle.where(places >= 0, weights.sum(-1, keepdim=True), paddle.ones_like(centre))
    whole = weights.sign() * (weights.abs() * _ONE + 0.5).floor()
    high = (whole / _PART + 0.5).floor()
    parts = paddle.concat([high, whole - high * _PART], axis=1).astype("float32")  # (B, 2 S, taps)
    return _spread(parts, (pixels + begin).tile([1, 2, 1]), side, reach)


def _spread(weights: Tensor, pixels: Tensor, side: int, margin: int) -> Tensor:
    """Weights `(B, N, taps)` of pixels `-margin ... side + margin - 1` as rows of a matrix `(B, N, side)`."""
    batch, seen, width = *weights.shape[:2], side + 2 * margin
    rows = paddle.arange(batch * seen, dtype="int32").reshape([batch, seen, 1])
    index = (rows * width + pixels + margin).reshape([-1])
    flat = paddle.scatter(paddle.zeros([batch * seen * width]), index, weights.reshape([-1]))
    return flat.reshape([batch, seen, width])[:, :, margin : margin + side]
