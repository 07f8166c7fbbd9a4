"""Makes matrix products of the libraries that Paddle brings along callable from compiled loops.

On processors of AMD with AVX-512, oneDNN's products of float32 are twice as fast as those of
Paddle's MKL, which uses AVX2 there. On Intel's, MKL is as fast or faster.
"""

import contextlib
import ctypes
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
from llvmlite import binding
from numba import types

from models.fast.loops.compiler import compiled


def _has(*features: str) -> bool:
    """Returns whether the processor has one of LLVM's features."""
    own = binding.get_host_cpu_features()
    return any(own.get(feature) for feature in features)


def _has_slow_mkl() -> bool:
    amd = binding.get_host_cpu_name().startswith("znver")  # LLVM's names of AMD's Zen
    return amd and _has("avx512f")


def _library(*names: str) -> ctypes.CDLL:
    """Returns a library of Paddle's, which it has loaded, by the first name that is there.

    Raises:
        ImportError: when none is there.
    """
    folder = Path(paddle.__file__).parent / "libs"
    for name in names:
        if (folder / name).is_file():
            return ctypes.CDLL(str(folder / name))
    raise ImportError(f"no matrix library is known in {folder}")


def _external(
    library: ctypes.CDLL, name: str, signature, called: str = ""
) -> types.ExternalFunction:
    """Returns a function of the library for compiled code.

    It is registered by a name, since an address could not be kept on disk with the code.
    """
    symbol = f"paddle_{called or name}"
    binding.add_symbol(symbol, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
    return types.ExternalFunction(symbol, signature)


_MKL = _library("libmklml_intel.so", "mklml.dll")
_OPENMP = _library("libiomp5.so", "libiomp5md.dll")
_ONEDNN = None
with contextlib.suppress(ImportError):
    _ONEDNN = _library("libdnnl.so.3")
_INT, _LONG, _REAL, _ADDRESS = types.int32, types.int64, types.float32, types.uintp
_MATRICES = (_ADDRESS, _INT, _ADDRESS, _INT, _REAL, _ADDRESS, _INT)
_mkl_sgemm = _external(_MKL, "cblas_sgemm", types.void(*[_INT] * 6, _REAL, *_MATRICES))
_set_mkl_threads = _external(_MKL, "MKL_Set_Num_Threads_Local", _INT(_INT))
_set_openmp_threads = _external(_OPENMP, "omp_set_num_threads", types.void(_INT))
_openmp_threads = _external(_OPENMP, "omp_get_max_threads", _INT())
# oneDNN's products return a status.
_LONG_MATRICES = (_ADDRESS, _LONG, _ADDRESS, _LONG, _REAL, _ADDRESS, _LONG)
_STATUS = _INT(_INT, _INT, *[_LONG] * 3, _REAL, *_LONG_MATRICES)
_ROW_MAJOR = np.int32(101)
_AS_IS, _TRANSPOSED = np.int32(111), np.int32(112)  # CBLAS's words
_LETTER_AS_IS, _LETTER_TRANSPOSED = np.int32(ord("N")), np.int32(ord("T"))  # oneDNN's
# Whether products of bfloat16 are faster than those of float32; without these instructions they
# are slower.
HAS_BFLOAT16 = bool(_ONEDNN and _has("avx512bf16", "amx-bf16"))
BY_ONEDNN = bool(_ONEDNN and _has_slow_mkl())  # products of float32
_FEW = 16_384  # multiply-adds, up to which a call of oneDNN takes longer than all of MKL's product


def _of_onednn(name: str) -> types.ExternalFunction:
    """Returns a product of oneDNN's; without oneDNN one that is never called."""
    library, function = (_ONEDNN, name) if _ONEDNN else (_MKL, "cblas_sgemm")
    return _external(library, function, _STATUS, called=name)


_onednn_sgemm, _onednn_bfloat16 = map(_of_onednn, ("dnnl_sgemm", "dnnl_gemm_bf16bf16f32"))


class Shape(NamedTuple):
    """Of a product: `(rows, inner)` times `(inner, columns)`."""

    rows: int
    columns: int
    inner: int


class Matrix(NamedTuple):
    """The memory of a matrix."""

    address: int
    next_line: int  # elements from a line to the next one; lines are contiguous
    is_rows: bool  # whether lines are rows; else they are columns


@compiled()
def multiply(
    bfloat16: bool,
    shape: Shape,
    a: Matrix,
    b: Matrix,
    out: Matrix,
    scale: np.float32,
    kept: np.float32,
) -> None:
    """Computes `out = scale * a @ b + kept * out`; `out` has rows, of float32.

    With `bfloat16` the elements of `a` and `b` are of bfloat16, else of float32.
    """
    of_onednn = (
        _LETTER_AS_IS if a.is_rows else _LETTER_TRANSPOSED,
        _LETTER_AS_IS if b.is_rows else _LETTER_TRANSPOSED,
        shape.rows,
        shape.columns,
        shape.inner,
        scale,
        a.address,
        a.next_line,
        b.address,
        b.next_line,
        kept,
        out.address,
        out.next_line,
    )
    if bfloat16 or (BY_ONEDNN and shape.rows * shape.columns * shape.inner > _FEW):
        status = _onednn_bfloat16(*of_onednn) if bfloat16 else _onednn_sgemm(*of_onednn)
        if status:
            raise RuntimeError("oneDNN has refused a matrix product")
        return
    _mkl_sgemm(
        _ROW_MAJOR,
        _AS_IS if a.is_rows else _TRANSPOSED,
        _AS_IS if b.is_rows else _TRANSPOSED,
        np.int32(shape.rows),
        np.int32(shape.columns),
        np.int32(shape.inner),
        scale,
        a.address,
        np.int32(a.next_line),
        b.address,
        np.int32(b.next_line),
        kept,
        out.address,
        np.int32(out.next_line),
    )


@compiled()
def set_own_threads(count: int) -> tuple[int, int]:
    """Sets how many threads the products of the calling thread use; returns what it was before."""
    before = _openmp_threads()
    _set_openmp_threads(count)
    return _set_mkl_threads(count), before


@compiled()
def reset_own_threads(before: tuple[int, int]) -> None:
    """Sets what `set_own_threads` has returned."""
    _set_mkl_threads(before[0])
    _set_openmp_threads(before[1])
