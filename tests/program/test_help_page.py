"""The page of `--help`: every flag, every config, and examples that are commands."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT, run_program
from in_process import run_here

from program import help_page
from program.config import config_files


@pytest.mark.parametrize("word", ["-h", "--help"])
@pytest.mark.parametrize(
    "program", ["main.py", "val.py", "tools.lr_find", "tools.noise", "tools.show_batch"]
)
def test_both_words_from_another_folder(program, word, tmp_path):
    done = run_here(program, word, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    for path in config_files.experiments():
        assert re.search(rf"^  {path.stem}\s", done.stdout, re.M)
    assert "--config.optim.lr=" in done.stdout
    assert not list(tmp_path.iterdir())


def test_what_the_page_of_training_names():
    page = run_here("main.py", "--help").stdout
    for name in ("config=", "row=", "workdir=", "dry_run", "overwrite", "max_hours="):
        assert re.search(rf"^  --{name}", page, re.M), name
    assert "R-Drop on your own images at 64 pixels" in page
    assert "--weights" not in page
    assert "--weights=" in run_here("val.py", "-h").stdout


def test_its_examples_are_commands():
    """Each one is refused for nothing before its data or its weights are looked for."""
    for line in help_page._EXAMPLES["main.py"].splitlines():
        if line.startswith("  python main.py"):
            done = run_here(*line.split()[1:], "--config.train.log_every_steps=0")
            assert "train.log_every_steps is 0" in done.stderr, line


def test_a_config_is_not_run_for_it(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text('"""Of mine."""\nraise SystemExit(3)\n')
    (tmp_path / "broken.py").write_text("def (")
    monkeypatch.setattr(help_page, "experiments", lambda: sorted(tmp_path.glob("*.py")))
    page = help_page.page("main.py", "")
    assert re.search(r"^  mine +Of mine\.$", page, re.M)
    assert re.search(r"^  broken$", page, re.M)


def test_in_a_process_of_its_own(tmp_path):
    done = run_program(ROOT / "main.py", "-h", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Train a model")
