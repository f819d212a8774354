# `make demo` and `make test` set everything up by themselves; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two OpenMP runtimes live in one process (torch's and aihwkit's): more threads than cores makes both slow.
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: help demo test check docs wheel format clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.demo: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a few minutes and 7 GB the first time (torch brings its own CUDA libraries)."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a few minutes and 7 GB the first time (torch brings its own CUDA libraries)."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## set up, then answer the question small: with and without sharing, on chips that age, with a bill
	$(BIN)/xbar demo

test: $(VENV)/.dev ## set up, then run the tests
	@# A thread for each of the two processes (numba may take two, in tests that ask for them); a file in one of them.
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=2 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --doctest-modules tests devices crossbar models experiments

check: $(VENV)/.dev ## format, lint, types, import contracts: what CI asks beside the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## build the documentation into site/, offline; a broken link or missing name fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in site/index.html."

wheel: $(VENV)/.dev ## build the wheel, and run the demo from it in an empty folder
	rm -rf dist build/empty && mkdir -p build/empty
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/empty/packages dist/*.whl
	cd build/empty && PYTHONPATH=packages ../../$(BIN)/python -P -m experiments.cli demo --epochs 1 --chips 2 --no-browser
	cd build/empty && PYTHONPATH=packages ../../$(BIN)/python -P -m experiments.cli devices > /dev/null

format: $(VENV)/.dev ## format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the environment and the caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info
