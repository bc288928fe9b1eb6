# Every target sets itself up: it makes the virtual environment .venv and installs the versions pinned in
# constraints.txt, once; later calls start at once. Needs Python 3.11 or newer with pip, nothing else.

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.drex-installed
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
# a file at a time in each worker: fixtures of a file are made once
PYTEST := -m pytest -n auto --maxprocesses 4 --dist loadfile
ARGS   ?=
OLDEST ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint type check latest oldest bench clean

help: ## name what can be made
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: $(READY) ## make .venv and install the package with its pinned dependencies

demo: $(READY) ## the main job: beat the HalfCheetah-v5 demonstrations, print the table (again: go on)
	$(BIN)/drex run HalfCheetah-v5 --resume $(ARGS)

test: $(READY) ## the test suite
	$(BIN)/python $(PYTEST) $(ARGS)

lint: $(READY) ## style, formatting, and which floor may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

type: $(READY) ## static types, strictly
	$(BIN)/mypy -p drex -p benchmarks

check: lint type test ## everything that must pass before a change goes in

latest: ## the tests on the newest versions that pip finds, in an environment of its own
	test -x .venv-latest/bin/python || $(PYTHON) -m venv .venv-latest
	.venv-latest/bin/python -m pip install --quiet --disable-pip-version-check \
		--upgrade --upgrade-strategy eager -e '.[dev]'
	.venv-latest/bin/python $(PYTEST) $(ARGS)

oldest: ## the tests on the lower bounds of pyproject.toml; another one: make oldest OLDEST=torch=2.14.0
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python .ci/oldest.py $(OLDEST) > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
		-c .venv-oldest/constraints.txt -e '.[dev]'
	.venv-oldest/bin/python $(PYTEST) $(ARGS)

bench: $(READY) ## benchmarks, for example: make bench ARGS="mujoco --help"
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the virtual environments and what tools have cached; runs/ stays
	rm -rf $(VENV) .venv-latest .venv-oldest build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 with venv and pip was found: name one with PYTHON=..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
