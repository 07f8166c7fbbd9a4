"""Makes matrix products of the libraries that Paddle brings along callable from compiled loops.

On processors of AMD with AVX-512, oneDNN's products of float32 are twice as fast as those of
Paddle's MKL, which uses AVX2 there. On Intel's, MKL is as fast or faster.
"""

import contextlib
import ctypes
from pathlib import Path

import paddle
from llvmlite import binding
from numba import types

from models.fast.compiler import compiled


def _has_slow_mkl() -> bool:
    own = binding.get_host_cpu_name().startswith("znver")  # LLVM's names of AMD's Zen
    return own and bool(binding.get_host_cpu_features().get("avx512f"))


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


def _external(library: ctypes.CDLL, name: str, signature) -> types.ExternalFunction:
    """Returns a function of the library for compiled code.

    It is registered by name, since an address could not be kept on disk with the code.
    """
    symbol = f"paddle_{name}"
    binding.add_symbol(symbol, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
    return types.ExternalFunction(symbol, signature)


_MKL = _library("libmklml_intel.so", "mklml.dll")
_OPENMP = _library("libiomp5.so", "libiomp5md.dll")
_ONEDNN = None
with contextlib.suppress(ImportError):
    _ONEDNN = _library("libdnnl.so.3")
_INT, _LONG, _REAL, _ADDRESS = types.int32, types.int64, types.float32, types.uintp
_MATRICES = (_ADDRESS, _INT, _ADDRESS, _INT, _REAL, _ADDRESS, _INT)
sgemm = _external(_MKL, "cblas_sgemm", types.void(*[_INT] * 6, _REAL, *_MATRICES))
# Sets how many threads the products of the calling thread use; returns the former number.
_set_mkl_threads = _external(_MKL, "MKL_Set_Num_Threads_Local", _INT(_INT))
# Whether float32 is multiplied by oneDNN.
BY_ONEDNN = bool(_ONEDNN and _has_slow_mkl())
# Letters instead of numbers say whether a matrix is transposed, and the result is a status.
_LONG_MATRICES = (_ADDRESS, _LONG, _ADDRESS, _LONG, _REAL, _ADDRESS, _LONG)
_ONEDNN_PRODUCT = _INT(_INT, _INT, *[_LONG] * 3, _REAL, *_LONG_MATRICES)
onednn_sgemm = _external(_ONEDNN, "dnnl_sgemm", _ONEDNN_PRODUCT) if BY_ONEDNN else sgemm
_set_openmp_threads = _external(_OPENMP, "omp_set_num_threads", types.void(_INT))
_openmp_threads = _external(_OPENMP, "omp_get_max_threads", _INT())


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
