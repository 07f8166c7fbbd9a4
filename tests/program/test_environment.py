"""What is set before Paddle is imported changes speed, not results; the user's settings stay."""

from __future__ import annotations

import json
import os
import platform

import numpy as np
import pytest
from conftest import run_program

from program.environment import describe, processor_name

_STEP = """
import json, os
if {prepared}:
    from program import paddle_setup
    paddle_setup.load_paddle()
import numpy, paddle, models
paddle.seed(0)
model = models.create("vit_n_2", 10, 8, drop_rate=0.1)
model.train()
pixels = numpy.random.default_rng(0).standard_normal((64, 3, 8, 8))
images = paddle.to_tensor(pixels.astype("float32"))
loss = model(images, copies=2).square().mean()
loss.backward()
names = ("OMP_NUM_THREADS", "KMP_BLOCKTIME", "MKL_DEBUG_CPU_TYPE")
found = {{"loss": loss.item(), "gradient": model.pos_embed.grad.flatten().tolist()}}
print(json.dumps({{**found, **{{name: os.environ.get(name) for name in names}}}}))
"""


def _step(prepared: bool = True, **environment: str) -> dict:
    done = run_program("-c", _STEP.format(prepared=prepared), **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def usual():
    return _step()


@pytest.mark.parametrize(
    ("prepared", "environment"),
    [
        (False, {}),
        (True, {"OMP_NUM_THREADS": "1", "KMP_BLOCKTIME": "200"}),
        (True, {"MKL_DEBUG_CPU_TYPE": "5"}),
    ],
    ids=["without it", "one thread", "as on AMD"],
)
def test_settings_change_results_by_rounding_only(usual, prepared, environment):
    found = _step(prepared, **environment)
    assert found["loss"] == pytest.approx(usual["loss"], rel=1e-5)
    largest = np.abs(usual["gradient"]).max()
    np.testing.assert_allclose(found["gradient"], usual["gradient"], rtol=0, atol=1e-5 * largest)
    assert {name: found[name] for name in environment} == environment


def test_what_is_set(usual):
    assert usual["OMP_NUM_THREADS"] == os.environ.get(
        "OMP_NUM_THREADS", str(len(os.sched_getaffinity(0)))
    )
    assert usual["KMP_BLOCKTIME"] == os.environ.get("KMP_BLOCKTIME", "1")


def test_the_name_of_the_processor(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some Xeon @ 2 GHz \nflags\t: a\n")
    assert processor_name(info) == "Some Xeon @ 2 GHz"
    info.write_text("")
    assert processor_name(info) == platform.processor()
    assert describe("cpu")["processor"] == processor_name()
