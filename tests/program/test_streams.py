"""Names in any language, whatever the locale is; outputs that are closed or gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, paint, run_program

_LOCALES = {
    "an ascii output": {"PYTHONIOENCODING": "ascii"},
    "a strict latin output": {"PYTHONIOENCODING": "latin-1:strict"},
    "the C locale": {"LC_ALL": "C"},
    "the C locale without UTF-8 mode": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "no locale at all": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
_PRINTS = """
import sys
from program import exits
def main():
    for stream in (sys.stdout, sys.stderr):
        print(sys.argv[1], "\\udcff", file=stream)
    open(sys.argv[1], "w", encoding="utf-8").close()
    return 0
exits.run_tool(main)
"""


def _environment(**changes: str) -> dict[str, str]:
    names = ("LC_ALL", "LANG", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


@pytest.mark.parametrize("locale", _LOCALES)
def test_any_letter_is_printed_and_any_file_opened(locale, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _PRINTS, "猫 é"],
        cwd=tmp_path,
        env=_environment(**_LOCALES[locale]),
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr
    shown = done.stdout.decode("utf-8", "backslashreplace")
    assert shown.endswith("\\udcff\n")
    assert shown.startswith(("猫 é", "\\u732b \\xe9"))
    assert os.listdir(tmp_path) == ["猫 é"]


@pytest.mark.parametrize("locale", ["an ascii output", "no locale at all"])
def test_a_whole_run(locale, tmp_path):
    """The folder, its classes and a config file have names in Chinese; a config names a path."""
    for part in ("train", "test"):
        paint(tmp_path / "图片" / part, 2, 4)
        (tmp_path / "图片" / part / "class_0").rename(tmp_path / "图片" / part / "猫")
    (tmp_path / "我的.py").write_text(
        f'"""我的。"""\nROOT = "{tmp_path}/图片"\n'
        "from configs import folder_small\ndef get_config():\n"
        "    c = folder_small.get_config()\n    c.data.update(root=ROOT, workers=1, holdout=0.0)\n"
        '    c.model.update(name="vit_n_8", image_size=16)\n'
        "    c.train.update(steps=2, epochs=0.0, batch_size=4)\n    return c\n",
        encoding="utf-8",
    )

    def run(*words) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=ROOT,
            env=_environment(**_LOCALES[locale]),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=200,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    folder, report = tmp_path / "运行", tmp_path / "结果.json"
    said = run("main.py", f"--config={tmp_path / '我的.py'}", f"--workdir={folder}")
    assert said.count("apt install fonts-noto-cjk") <= 1
    assert json.loads((folder / "result.json").read_text())["step"] == 2
    words = ("--weights", folder, tmp_path / "图片" / "test", "--json", report)
    assert len(run("-m", "tools.predict", *words).splitlines()) == 8
    rows = json.loads(report.read_text(encoding="utf-8"))
    assert {name for row in rows for name in row["probabilities"]} == {"猫", "class_1"}
    assert rows[-1]["file"] == f"{tmp_path}/图片/test/猫/003.png"


def test_outputs_that_are_closed():
    code = "from program import exits; import sys\ndef main():\n  print('x', sys.stderr.isatty())\n"
    code += "  return 0\nexits.run_tool(main)"
    line = f'{sys.executable} -c "$0" >&- 2>&-'
    done = subprocess.run(["bash", "-c", line, code], cwd=ROOT, timeout=100)
    assert done.returncode == 0


def test_streams_of_others_are_left_alone():
    code = "import io, sys\nfrom program import streams\nsys.stdout = own = io.StringIO()\n"
    code += "streams.prepare()\nassert sys.stdout is own\n"
    assert run_program("-c", code).returncode == 0
