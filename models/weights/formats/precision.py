"""Refuses quantised weights by name, and reads bits that stand for bfloat16 values as such.

Paddle keeps bfloat16 arrays as uint16 in its pickles. No network has real uint16 weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from common.errors import UserError
from common.number_formats import WIDENED, widen
from common.pickles.inert import Inert
from models.weights.formats.contents import Later

_REMEDY = "give the weights before they were quantised"
# Names that only quantised weights have: of GPTQ, AWQ, bitsandbytes, torch.ao, quanto, and of fp8
# with scales.
_NAMES = re.compile(
    r"(?:\.|^)(?:_?packed_params|qweight|qzeros|g_idx|scales$|SCB|weight_format|quant_state|"
    r"weight[._](?:absmax|nested_absmax|quant_map|quant_state|zero_point|zp|scales?|scale_inv|"
    r"packed|_data|_scale|_zero_point|SCB)|(?:input|output|activation|act)_scale|zero_point|"
    r"scaled_fp8|scale_(?:weight|input))"
    r"(?:\.|$)"
)
_WHOLE = ("bool", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64")


def check_not_quantised(values: dict[str, Any]) -> None:
    """Checks that arrays hold plain numbers.

    Args:
        values: by name; `Later`, or what stands in its place.

    Raises:
        UserError: when they are quantised; the message has no origin.
    """
    float8 = any(isinstance(one, Later) and "float8" in one.dtype for one in values.values())
    for name, value in values.items():
        scaled = float8 and re.search(r"(?<!layer_)(?<!logit_)scales?(?:$|[._]inv)", name)
        if scaled or _NAMES.search(name) or _is_quantised(value):
            raise UserError(f"quantised weights are not read ({name}); {_REMEDY}")
        whole = isinstance(value, Later) and value.dtype in _WHOLE and len(value.shape) > 0
        matrix = whole and value.dtype == "int8" and len(value.shape) > 1
        if matrix or (whole and name.endswith(("weight", "kernel", "bias"))):
            raise UserError(
                f"{name} has whole numbers ({value.dtype}), without the scales of quantised "
                f"weights: they are not read; {_REMEDY}"
            )


def _is_quantised(value: Any) -> bool:
    parts = value if isinstance(value, tuple) and not isinstance(value, Later) else (value,)
    said = (f"{part.module}.{part.name}".lower() for part in parts if isinstance(part, Inert))
    words = ("qtensor", "quant", "torchao", "qint", "bitsandbytes")
    return any(word in text for text in said for word in words)


def with_bfloat16(arrays: dict[str, Later]) -> tuple[dict[str, Later], tuple[str, ...]]:
    """Returns the arrays, bits of bfloat16 among them as such, and what is said of it."""
    bits = {name for name, value in arrays.items() if value.dtype == "uint16"}
    said = [f"its uint16 arrays ({len(bits)}) were read as bits of bfloat16"] if bits else []
    for dtype in sorted({value.dtype for value in arrays.values()} & set(WIDENED)):
        said.append(f"its {dtype} values were read as float32")
    found = {
        name: Later(value.shape, "bfloat16", _widened(value.read)) if name in bits else value
        for name, value in arrays.items()
    }
    return found, tuple(said)


def _widened(read: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
    return lambda: widen(read())
