# The commands of the README. Each makes .venv and installs what it needs on the first call, and nothing on the second.
PYTHON ?= python3
BIN := .venv/bin
TWO_AT_ONCE := -n 2 --dist loadfile

.PHONY: train test test-slow test-paddle-2.6 lint format results-tables

train: .venv/installed
	$(BIN)/python main.py

test: lint
	$(BIN)/python -m pytest $(TWO_AT_ONCE)

test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow $(TWO_AT_ONCE)

# The version that PyPI's GPU wheel has (requirements-gpu.txt), as its CPU build.
test-paddle-2.6: .venv-paddle-2.6/installed
	.venv-paddle-2.6/bin/python -m pytest $(TWO_AT_ONCE)

# Tables and pictures of docs/results.md, from the lines of the runs in docs/results/.
results-tables: .venv/installed
	$(BIN)/python -m tools.results_tables

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: requirements.txt requirements-base.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m tools.compile
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt requirements-extras.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

.venv-paddle-2.6/installed: requirements-gpu.txt requirements-base.txt
	$(PYTHON) -m venv .venv-paddle-2.6
	.venv-paddle-2.6/bin/python -m pip install --quiet --disable-pip-version-check \
	    paddlepaddle==2.6.2 'numpy<2' 'pytest<10' 'pytest-xdist<4' 'hypothesis<7' -r requirements-base.txt
	touch $@
