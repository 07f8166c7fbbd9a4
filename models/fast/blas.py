"""Makes matrix products of the BLAS that Paddle brings along callable from compiled loops."""

import ctypes
from pathlib import Path

import paddle
from llvmlite import binding
from numba import types


def _library() -> ctypes.CDLL:
    """Returns the library with `cblas_sgemm`.

    Raises:
        ImportError: when Paddle has no library that is known here.
    """
    folder = Path(paddle.__file__).parent / "libs"
    for name in ("libmklml_intel.so", "mklml.dll"):
        if (folder / name).is_file():
            return ctypes.CDLL(str(folder / name))  # Paddle has loaded it
    raise ImportError(f"no matrix library is known in {folder}")


def _external(library: ctypes.CDLL, name: str, signature) -> types.ExternalFunction:
    """Returns a function of the library for compiled code.

    It is registered by name, since an address could not be kept on disk with the code.
    """
    symbol = f"paddle_{name}"
    binding.add_symbol(symbol, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
    return types.ExternalFunction(symbol, signature)


_INT, _REAL, _ADDRESS = types.int32, types.float32, types.uintp
_LIBRARY = _library()
_MATRICES = (_ADDRESS, _INT, _ADDRESS, _INT, _REAL, _ADDRESS, _INT)
sgemm = _external(_LIBRARY, "cblas_sgemm", types.void(*[_INT] * 6, _REAL, *_MATRICES))
# Sets how many threads the products of the calling thread use; returns the former number.
set_own_threads = _external(_LIBRARY, "MKL_Set_Num_Threads_Local", _INT(_INT))
