# make quickstart: from nothing to a report.  make help: the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install quickstart known test faults test-all check format clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

install: $(STAMP) ## make the environment in .venv

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name one with make PYTHON=...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "error: cannot make $(VENV); on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

quickstart: $(STAMP) ## train a small study and write its report: about 5 minutes on two cores
	$(BIN)/python -m scaling run experiments/quickstart.py
	$(BIN)/python -m analysis report runs/quickstart

known: $(STAMP) ## train the ladders of known entropy and score every way to extrapolate: under an hour
	$(BIN)/python -m scaling run experiments/known_entropy.py
	$(BIN)/python -m analysis known runs/known_entropy

test: $(STAMP) ## the tests, about a quarter of an hour on two cores
	$(BIN)/python -m pytest -m 'not slow' -n 2 --dist loadfile

faults: $(STAMP) ## kill workers, nodes and drivers for real, on clusters of this machine: about ten minutes
	$(BIN)/python -m pytest -m faults

test-all: $(STAMP) ## the slow tests too
	$(BIN)/python -m pytest

check: $(STAMP) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## mend what lint and format can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and caches; runs/ and data/ stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
