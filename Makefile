# Every target sets itself up: it makes the virtual environment .venv and installs the versions pinned in
# constraints.txt, once; later calls start at once. Needs Python 3.11 or newer with pip, nothing else.

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.drex-installed
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint type check bench clean

help: ## name what can be made
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: $(READY) ## make .venv and install the package with its pinned dependencies

demo: $(READY) ## the main job: beat the HalfCheetah-v5 demonstrations, print the table (again: go on)
	$(BIN)/drex run HalfCheetah-v5 --resume $(ARGS)

test: $(READY) ## the test suite
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY) ## style, formatting, and which floor may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

type: $(READY) ## static types, strictly
	$(BIN)/mypy -p drex

check: lint type test ## everything that must pass before a change goes in

bench: $(READY) ## benchmarks, for example: make bench ARGS="mujoco --help"
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove .venv and what tools have cached; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 with venv and pip was found: name one with PYTHON=..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
