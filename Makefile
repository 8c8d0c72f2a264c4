# Every target starts from nothing but Python 3.11 or newer and a package index; a second call installs nothing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := $(BIN)/debias-bench

.PHONY: demo test check format bench profile bench-gpu clean
.DEFAULT_GOAL := help

help:  ## Show this help.
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/'

demo: $(VENV)/.installed  ## A real small sweep on real digits, ending in a leaderboard (results/demo).
	$(DEMO) run sweeps/demo.yaml --jobs $(JOBS) --results results/demo
	$(DEMO) aggregate --results results/demo
	$(DEMO) leaderboard --results results/demo
	$(DEMO) show task colored_mnist --rho 0.95 --protocol short --picture results/demo/colored_mnist.png > /dev/null
	$(DEMO) show task multi_color_mnist --protocol short --picture results/demo/multi_color_mnist.png > /dev/null
	@echo
	@echo "leaderboard  results/demo/LEADERBOARD.md"
	@echo "table        results/demo/results.parquet"
	@echo "pictures     results/demo/colored_mnist.png results/demo/multi_color_mnist.png"

# a test worker that dies ends the run: replacing it makes --dist loadfile wait for ever (pytest-xdist 3.8)
test: $(VENV)/.installed-dev  ## All tests; those that need SLURM, a GPU or data sets skip with a reason where there is none.
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --max-worker-restart 0

check: $(VENV)/.installed-dev  ## ruff, strict mypy, and the contracts between packages.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev  ## Measure what docs/performance.md tells of; FIGURE=name measures one figure.
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.performance $(FIGURE)

profile: $(VENV)/.installed-dev  ## Where the processor time of cells goes; FUNCTIONS=bise lists the functions of one.
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.performance.profiles $(if $(FUNCTIONS),--functions "$(FUNCTIONS)")

bench-gpu: $(VENV)/.installed-dev  ## Training steps on the first GPU, in every way that could make them faster.
	$(BIN)/python -m tests.performance.gpu

format: $(VENV)/.installed-dev  ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the virtual environment and caches; results are kept.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed
