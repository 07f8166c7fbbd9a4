"""Compiled loops of optimisers: one pass over parameters, their gradients and their moments."""

import numpy as np
from numba import carray, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from models.fast.loops.compiler import ONE, Order, compiled


@intrinsic
def _floats_at(_, address):
    """Turns an address into a pointer to float32."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(address), generate


@intrinsic
def _fma(_, x, y, z):
    """Returns `x * y + z`, rounded once."""

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float32(x, y, z), generate


@compiled()
def adamw(
    begin: int,
    end: int,
    pieces: Order,
    addresses: Order,
    rates: NDArray[np.float32],
    beta1: np.float32,
    beta2: np.float32,
) -> None:
    """Updates pieces of parameters and their moments where they are.

    The bits are those of Paddle's kernel for AVX-512.

    Args:
        begin: the first piece to update.
        end: behind the last one.
        pieces: `(pieces, 3)`: number of the parameter, first element, number of elements.
        addresses: `(parameters, 4)`: of the float32 parameter, its gradient, the mean of its
            gradients and the mean of their squares.
        rates: `(parameters, 3)`: the share of a parameter that decays, the rate with both moments'
            bias correction, and what is added to the root of the squares.
        beta1: share of the gradients' mean that stays.
        beta2: share of the mean of their squares that stays.
    """
    for row in range(begin, end):
        number, first, size = pieces[row]
        offset = first * 4
        parameter = carray(_floats_at(addresses[number, 0] + offset), size)
        gradient = carray(_floats_at(addresses[number, 1] + offset), size)
        means = carray(_floats_at(addresses[number, 2] + offset), size)
        squares = carray(_floats_at(addresses[number, 3] + offset), size)
        decay, rate, epsilon = rates[number]
        for i in range(size):
            g = gradient[i]
            mean = _fma(beta1, means[i], (ONE - beta1) * g)
            square = _fma(beta2, squares[i], (ONE - beta2) * (g * g))
            means[i], squares[i] = mean, square
            kept = _fma(-decay, parameter[i], parameter[i])
            parameter[i] = _fma(-rate, mean / (np.sqrt(square) + epsilon), kept)
