"""Cores, instructions, memory, and variables that set threads, of made-up machines."""

from __future__ import annotations

import pytest

from tools.diagnosis import processor
from tools.diagnosis.children import Answer

_GB = 1 << 30


@pytest.mark.parametrize(
    ("allowed", "left", "variables", "state", "words"),
    [
        (8, None, {}, "fine", "8 of 16"),
        (8, 2.0, {}, "look", "export OMP_NUM_THREADS=2"),
        (8, 2.0, {"OMP_NUM_THREADS": "2"}, "fine", "a control group leaves 2"),
        (8, 0.5, {"OMP_NUM_THREADS": "1"}, "look", "share one core"),
        (1, None, {}, "look", "share one core"),
        (8, 9.0, {}, "fine", "8 of 16"),
    ],
)
def test_cores(allowed, left, variables, state, words):
    (line,) = processor.cores(allowed, left, 16, variables)
    assert line.state == state
    assert words in str(line)


def test_quota(tmp_path):
    groups, of_group = tmp_path / "sys", tmp_path / "own"
    assert processor.quota(groups, of_group) is None
    of_group.write_text("0::/a/b\n")
    for name in ("a/b", ""):
        (groups / name).mkdir(parents=True, exist_ok=True)
    (groups / "a/b/cpu.max").write_text("max 100000\n")
    assert processor.quota(groups, of_group) is None
    (groups / "a/cpu.max").write_text("150000 100000\n")  # of a group above it
    assert processor.quota(groups, of_group) == 1.5
    of_group.write_text("4:cpu,cpuacct:/c\n3:memory:/\n")
    assert processor.quota(groups, of_group) is None
    (groups / "cpu,cpuacct/c").mkdir(parents=True)
    (groups / "cpu,cpuacct/c/cpu.cfs_quota_us").write_text("-1\n")
    (groups / "cpu,cpuacct/c/cpu.cfs_period_us").write_text("100000\n")
    assert processor.quota(groups, of_group) is None
    (groups / "cpu,cpuacct/c/cpu.cfs_quota_us").write_text("400000\n")
    assert processor.quota(groups, of_group) == 4


_COMPILED = {"operators": "compiled operators", "products": "MKL", "bfloat16": True}


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (Answer({**_COMPILED, "cards": []}), "fine", "products by MKL, bfloat16 (train.amp=bf16)"),
        (
            Answer({"operators": "Paddle's operators, since NUMBA", "cards": []}),
            "look",
            "unset NUMBA_DISABLE_JIT",
        ),
        (Answer({"operators": "Paddle's operators", "cards": [{}]}), "fine", "Paddle's operators"),
        (Answer({}, "ended by SIGSEGV", "operators"), "look", "model.operators=plain"),
        (Answer({}, "", ""), "fine", "Some Xeon, AVX2, AVX-512, AMX"),
    ],
)
def test_products(tmp_path, answer, state, words):
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor : 0\nmodel name\t: Some Xeon\nflags\t\t: sse avx2 avx512f amx_bf16\n"
    )
    (line,) = processor.products(answer, info)
    assert line.state == state
    assert words in str(line)


def test_memory():
    assert [one.state for one in processor.memory(None, None, None)] == ["look"]
    (line,) = processor.memory(20 * _GB, 64 * _GB, 20 * _GB)
    assert line == ("memory", "fine", "20.0 GB free of 64.0 GB", "")
    (line,) = processor.memory(2 * _GB, 64 * _GB, 20 * _GB)
    assert line.state == "look"
    assert "limited by a control group" in line.found
    assert all(figure > 0 for figure in processor.read_memory())


@pytest.mark.parametrize(
    ("variables", "is_amd", "state"),
    [
        ({}, False, "fine"),
        ({"OMP_NUM_THREADS": "4"}, False, "fine"),
        ({"OMP_NUM_THREADS": "64"}, False, "look"),
        ({"OMP_NUM_THREADS": "1"}, False, "look"),
        ({"OMP_NUM_THREADS": "many"}, False, "look"),
        ({"OMP_NUM_THREADS": "4,2"}, False, "fine"),
        ({"MKL_DEBUG_CPU_TYPE": "5"}, False, "look"),
        ({"MKL_DEBUG_CPU_TYPE": "5"}, True, "fine"),
        ({"NUMBA_DISABLE_JIT": "1"}, True, "look"),
        ({"PATH": "a", "HF_TOKEN": "secret"}, True, "fine"),
    ],
)
def test_thread_variables(variables, is_amd, state):
    (line,) = processor.thread_variables(variables, 4, is_amd)
    assert line.state == state
    assert "secret" not in str(line)
    assert bool(line.remedy) == (state == "look")


@pytest.mark.parametrize(
    ("facts", "states"),
    [
        ({"operators": "Paddle's operators"}, []),
        ({**_COMPILED, "cache_folder": ""}, ["look"]),
        ({**_COMPILED, "cache_folder": "a", "cache_files": 0}, ["fine"]),
        ({**_COMPILED, "cache_folder": "a", "cache_files": 40}, ["fine"]),
    ],
)
def test_compiled_code(facts, states):
    assert [one.state for one in processor.compiled_code(Answer(facts))] == states
