# Dragoman's workbench. `make` alone lists the targets.
# A fresh clone needs Python 3.11+ (with venv), make and a C compiler; everything else comes hash-locked from requirements/.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
WORKERS ?= 2
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK    := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup dev run test agents check format lock bench wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.stamp-run ## create .venv with the locked dependencies and the dragoman command

run: setup ## start the gateway with the simulated provider, a funded user and a key
	@$(BIN)/dragoman demo

test: dev ## run every test, the official SDKs included
	@if [ -f tests/clients/sdks.py ]; then echo "tests: installing the client SDKs"; $(BIN)/python tests/clients/sdks.py install; fi
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

agents: dev ## finish a task with Claude Code, Codex and Gemini CLI (from the npm registry, 1 GB)
	$(BIN)/python tests/agents/install.py
	DRAGOMAN_AGENTS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/agents

check: dev ## ruff, mypy, the import staircase, a test file per source file, the size rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/check_tests.py
	$(BIN)/python scripts/check_sizes.py

format: dev ## format and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: dev ## resolve the dependencies anew (UPGRADE=1: to their newest releases)
	$(LOCK) $(if $(UPGRADE),--upgrade) -o requirements/run.txt pyproject.toml requirements/build.in
	$(LOCK) $(if $(UPGRADE),--upgrade) -o requirements/dev.txt requirements/dev.in
	$(LOCK) -o bench/litellm.txt bench/litellm.in
	$(LOCK) -o requirements/agents.txt requirements/agents.in

bench: setup ## measure beside nginx and LiteLLM; ARGS="--quick --only nginx,dragoman"
	$(BIN)/python bench/run.py $(ARGS)

wheel: dev ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

clean: ## remove what make created (never data/)
	rm -rf $(VENV) .bench-venv .cache/sdks .cache/agents build dist bench/bin bench/out src/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts bench -name __pycache__ -type d -prune -exec rm -rf {} +

dev: $(VENV)/.stamp-dev

# Each stamp is newer than what was installed for it, so a second `make setup` does nothing.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Dragoman needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setup: creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Creating $(VENV) failed; on Debian and Ubuntu install python3-venv" >&2; exit 1; }

$(VENV)/.stamp-deps: requirements/run.txt | $(BIN)/python
	@echo "setup: installing the locked dependencies (about half a minute the first time)"
	@$(PIP) -r requirements/run.txt
	@touch $@

$(VENV)/.stamp-run: pyproject.toml $(VENV)/.stamp-deps
	@echo "setup: installing dragoman"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
	@echo "setup: done, $(BIN)/dragoman is ready"

$(VENV)/.stamp-dev: requirements/dev.txt $(VENV)/.stamp-run
	@echo "setup: installing the development tools"
	@$(PIP) -r requirements/dev.txt
	@touch $@
