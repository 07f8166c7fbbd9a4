"""Resizes images on the device (`data.resize_on=device`), the same as Pillow to the bit.

The host sends images in their own size. `data/augment/device_resize_views.py` records there how
each image is cropped, flipped and resized; here the pixels are made, with two small matrices for
each image.

Source: Pillow's `Image.resize`, bicubic (Keys, 1981, a = -0.5) or bilinear, for enlarging only: the
antialiasing of a reduction is missing. As in Pillow, rows of pixels are resampled first, weights
are multiples of 2^-22, and the result of each axis is rounded to 8 bits. Each weight is split in
two, `(high + low) / 2^10`: `high` is an integer and `low` a multiple of 2^-12, both of at most 11
bits. So float32 and even TensorFloat-32 hold all products exactly, and float32 all sums, in any
order.
"""

import paddle
from paddle import Tensor

_HIGH, _LOW = 2.0**10, 2.0**12  # units of `high` in the weight 1; units of `low` in 1 of `high`


def _bicubic(distance: Tensor) -> Tensor:
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * -0.5
    return paddle.where(distance < 1, near, paddle.where(distance < 2, far, paddle.zeros_like(far)))


def _bilinear(distance: Tensor) -> Tensor:
    return (1 - distance).clip(min=0)


# With their reach, in pixels; "" is the default of a config that no weights have filled in.
_KERNELS = {"bicubic": (_bicubic, 2), "bilinear": (_bilinear, 1), "": (_bicubic, 2)}


def enlarge(images: Tensor, windows: Tensor, interpolation: str) -> Tensor:
    """Cuts windows out of images, and enlarges them.

    Args:
        images: uint8 `(B, C, H, W)`.
        windows: int32 `(B, 2, 3 + S)`, from `View.windows`.
        interpolation: `bicubic` or `bilinear`.

    Returns:
        uint8 `(B, C, S, S)`.
    """
    rows, columns = (
        _weights(windows[:, axis], side, interpolation)
        for axis, side in enumerate(images.shape[2:])
    )
    pixels = images.astype("float32")
    sums = (paddle.matmul(pixels, part, transpose_y=True) for part in columns)
    across = _levels(*sums).floor_()  # (B, C, H, S)
    return _levels(*(paddle.matmul(part, across) for part in rows)).astype("uint8")  # (B, C, S, S)


def _levels(high: Tensor, low: Tensor) -> Tensor:
    """Converts sums by both parts of the weights to grey levels, in place.

    The levels have a fraction that the caller cuts off. `low` is overwritten.
    """
    return low.floor_().add_(high).scale_(1 / _HIGH, bias=0.5).clip_(0, 255)


def _weights(axis: Tensor, side: int, interpolation: str) -> tuple[Tensor, Tensor]:
    """Returns the weight of each of `side` pixels in each pixel of the output, in two parts.

    Args:
        axis: int32 `(B, 3 + S)`, an axis of the windows.
        side: of the images, in pixels.
        interpolation: `bicubic` or `bilinear`.

    Returns:
        `high` and `low`, both float32 `(B, 1, S, side)`.
    """
    kernel, reach = _KERNELS[interpolation]
    begin, length, resized = (axis[:, place].reshape([-1, 1, 1]) for place in range(3))
    places = axis[:, 3:].unsqueeze(-1)  # (B, S, 1)
    ratio = length.astype("float64") / resized.astype("float64")
    centre = (places.astype("float64") + 0.5) * ratio
    taps = paddle.arange(1 - reach, 1 + reach, dtype="int32")
    pixels = (centre - 0.5).floor().astype("int32") + taps  # (B, S, taps)
    weights = kernel((pixels.astype("float64") - centre + 0.5).abs())
    inside = paddle.logical_and(paddle.logical_and(pixels >= 0, pixels < length), places >= 0)
    weights = paddle.where(inside, weights, paddle.zeros_like(weights))
    sums = paddle.where(places >= 0, weights.sum(-1, keepdim=True), paddle.ones_like(centre))
    weights = weights / sums
    weights = weights.sign() * (weights.abs() * (_HIGH * _LOW) + 0.5).floor() / _LOW
    high, pixels = (weights + 0.5).floor(), pixels + begin
    return _spread(high, pixels, side, reach), _spread(weights - high, pixels, side, reach)


def _spread(weights: Tensor, pixels: Tensor, side: int, margin: int) -> Tensor:
    """Returns the weights of some pixels as rows of a matrix over all pixels.

    Args:
        weights: `(B, S, taps)`.
        pixels: their places, int32 `(B, S, taps)`, from `-margin` to `side + margin - 1`.
        side: of the images, in pixels.
        margin: places outside of the image at each end, which are dropped.

    Returns:
        float32 `(B, 1, S, side)`.
    """
    (batch, seen), width = weights.shape[:2], side + 2 * margin
    rows = paddle.arange(batch * seen, dtype="int32").reshape([batch, seen, 1])
    index = (rows * width + pixels + margin).reshape([-1])
    values = weights.astype("float32").reshape([-1])
    flat = paddle.scatter(paddle.zeros([batch * seen * width]), index, values)
    return flat.reshape([batch, 1, seen, width])[:, :, :, margin : margin + side]
