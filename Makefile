# Two commands on a fresh machine: `make portrait` shows that it works, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup portrait studio test lint types format bench lab clean

setup: .venv/.dev

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Installed again only when what is asked for has changed.
.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

.venv/.bench: pyproject.toml constraints.txt | .venv/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,bench]"
	touch $@

portrait: setup
	$(BIN)/mien generate examples/identity.jpg examples/expression.jpg -o portrait.png --strip portrait_strip.png

studio: .venv/.studio
	$(BIN)/mien studio

.venv/.studio: pyproject.toml constraints.txt | .venv/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,studio]"
	touch $@

# One process a core, each with one thread; a file's tests share their models, so they stay in one process. Bytecode is
# written whatever the environment says: to compile tests with their asserts takes half of the time of finding them.
test: setup
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile

lint: setup
	$(BIN)/ruff check src factory tests benchmarks examples
	$(BIN)/ruff format --check src factory tests benchmarks examples

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix src factory tests benchmarks examples
	$(BIN)/ruff format src factory tests benchmarks examples

# The judges of the benchmark, MediaPipe and dlib, share no weights with our models.
bench: .venv/.bench
	$(BIN)/python -m benchmarks.run_all

# What the two papers claim, tried on the embedded model: hours; stopped and started again, it goes on (docs/lab.md).
lab: .venv/.bench
	$(BIN)/python -m benchmarks.lab

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache portrait.png portrait_strip.png
