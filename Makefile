# Two commands do everything on a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt clean neovim

help:
	@echo "make demo    set up the server and show ghost text on a note, from the embedded model"
	@echo "make test    set up everything and run all checks and tests"
	@echo "make lint    ruff, mypy --strict, import layers"
	@echo "make fmt     format and fix what can be fixed"
	@echo "make clean   remove what was built"

demo: $(VENV)/.server
	@$(BIN)/nurse-lsp demo

test: lint neovim
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A real editor for the end-to-end test: Debian's package `neovim`.
neovim:
	@command -v nvim >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then echo "Installing Debian's package neovim …"; apt-get update -qq && apt-get install -y -qq neovim >/dev/null; \
	  else echo "The tests need Neovim 0.7 or newer: sudo apt-get install neovim" >&2; exit 1; fi; }

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.server: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Setting up the server (half a minute) …"
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Setting up server, training, evaluation and tests (a few minutes) …"
	@$(PIP) -e '.[train,eval,dev]'
	@touch $@ $(VENV)/.server
