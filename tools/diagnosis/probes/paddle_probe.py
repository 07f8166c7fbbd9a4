"""Imports the packages, Paddle first, and tells what Paddle computes on: `FILE` for the answer."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from program import paddle_setup
from tools.diagnosis.probes.telling import Teller

# Packages of requirements-base.txt, and the modules that runs import.
_MODULES = {
    "absl-py": "absl.app",
    "matplotlib": "matplotlib",
    "ml_collections": "ml_collections",
    "numba": "numba",
    "numpy": "numpy",
    "pillow": "PIL.Image",
    "ppim": "ppim.models",
    "safetensors": "safetensors.numpy",
    "scikit-learn": "sklearn.datasets",
    "scipy": "scipy.special",
    "tqdm": "tqdm",
    "visualdl": "visualdl",
}
_SIZE, _ROUNDS = 256 << 20, 3  # bytes that travel to a card, and how often


def main() -> None:
    """Tells versions, devices, what does not work, and how fast bytes travel."""
    teller = Teller(sys.argv[1])
    teller.stage("importing Paddle")
    paddle_setup.load_paddle()
    import paddle

    teller.tell(
        version=paddle.version.full_version,
        cuda=str(paddle.version.cuda()),
        device=paddle.device.get_device(),
    )
    teller.stage("run_check")
    try:
        paddle.utils.run_check()
        teller.tell(run_check="")
    except Exception as error:
        teller.tell(run_check=f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}")
    teller.stage("cards")
    teller.tell(cards=list(_cards(paddle)))
    teller.tell(broken=dict(_broken(teller)))
    teller.stage("operators")
    teller.tell(**_operators())
    teller.stage("host to card")
    teller.tell(transfer=[_speed(paddle, place) for place in _places(paddle)])
    teller.stage("done")


def _cards(paddle: Any) -> Iterator[dict[str, Any]]:
    if not paddle.device.is_compiled_with_cuda():
        return
    for number in range(paddle.device.cuda.device_count()):
        properties = paddle.device.cuda.get_device_properties(number)
        yield {
            "name": properties.name,
            "capability": [properties.major, properties.minor],
            "memory": properties.total_memory,
        }


def _broken(teller: Teller) -> Iterator[tuple[str, str]]:
    """Yields packages that are there, but can't be imported, and why."""
    for name, module in _MODULES.items():
        teller.stage(f"importing {name}")  # some end the process
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0]:  # one that it needs
                yield name, str(error)
        except Exception as error:
            yield name, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _operators() -> dict[str, Any]:
    """Returns what computes the blocks of transformers here, and where its code is kept."""
    from models.layers import operators

    found: dict[str, Any] = {"operators": operators.describe_operators()}
    found["bfloat16"] = not operators.missing_for_bfloat16()
    if found["operators"] == "compiled operators":
        from models.fast.loops import blas

        found["products"] = "oneDNN" if blas.BY_ONEDNN else "MKL"
        stats = getattr(blas.multiply, "stats", None)
        folder = Path(stats.cache_path) if stats and stats.cache_path else None
        found["cache_folder"] = str(folder) if folder else ""
        found["cache_files"] = len(list(folder.glob("*.nbc"))) if folder else 0
    return found


def _places(paddle: Any) -> list[Any]:
    if not paddle.device.is_compiled_with_cuda():
        return []
    return [paddle.CUDAPlace(number) for number in range(paddle.device.cuda.device_count())]


def _speed(paddle: Any, place: Any) -> float:
    """Returns the bytes/s from pinned memory of the host to a card, the best of some rounds."""
    host = paddle.zeros([_SIZE // 4], "float32").cpu().pin_memory()
    best = 0.0
    for _ in range(_ROUNDS):
        paddle.device.cuda.synchronize(place)
        begin = time.perf_counter()
        copy = paddle.to_tensor(host, place=place)
        paddle.device.cuda.synchronize(place)
        best = max(best, _SIZE / (time.perf_counter() - begin))
        del copy
    return best


if __name__ == "__main__":
    main()
