# Two commands do everything on a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-editors lint fmt clean neovim chromium vsix

help:
	@echo "make demo    set up the server and show ghost text on a note, from the embedded model"
	@echo "make test    set up everything and run all checks and tests"
	@echo "make test-editors   drive real editors against the real server (node 20, npm, Debian packages)"
	@echo "make lint    ruff, mypy --strict, import layers"
	@echo "make fmt     format and fix what can be fixed"
	@echo "make clean   remove what was built"

demo: $(VENV)/.server
	@$(BIN)/nurse-lsp demo

# Two processes, a file of tests each, with one thread of torch's own: on two cores that halves the time.
test: lint neovim chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# Real editors beyond the one of `make test`: tests/editors/setup_*.sh fetch them into .editors/, once.
# On a machine shared with others a screen may stand still for a minute and a half: what was late is tried once more, and listed as RERUN.
test-editors: $(VENV)/.editors vsix
	@for setup in tests/editors/setup_*.sh; do $$setup || exit 1; done
	$(BIN)/python -m pytest tests/editors --timeout 600 -raR --reruns 1 --only-rerun 'not within' --only-rerun 'Timeout .* exceeded'

# The picture of ghost text in VS Code that README and walkthrough show, as the tests have just made it.
picture: test-editors
	cp .editors/pictures/ghost-text.png editor-client/vscode/walkthrough/ghost-text.png

# The VS Code extension as one file.
vsix: editor-client/vscode/nurse-lsp.vsix

editor-client/vscode/nurse-lsp.vsix: editor-client/vscode/node_modules/.package-lock.json $(shell git ls-files editor-client/vscode)
	@cd editor-client/vscode && npm run --silent package

editor-client/vscode/node_modules/.package-lock.json: editor-client/vscode/package-lock.json
	@cd editor-client/vscode && npm ci --no-fund --no-audit --loglevel=error
	@touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .editors editor-client/vscode/node_modules editor-client/vscode/dist editor-client/vscode/*.vsix build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A real editor for the end-to-end test: Debian's package `neovim`.
neovim:
	@command -v nvim >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then echo "Installing Debian's package neovim …"; apt-get update -qq && apt-get install -y -qq neovim >/dev/null; \
	  else echo "The tests need Neovim 0.7 or newer: sudo apt-get install neovim" >&2; exit 1; fi; }

# A real browser for the report page: Debian's package `chromium`.
chromium:
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then echo "Installing Debian's package chromium …"; apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	  else echo "The tests need Chromium: sudo apt-get install chromium" >&2; exit 1; fi; }

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.server: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Setting up the server (half a minute) …"
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Setting up server, training, evaluation and tests (a few minutes) …"
	@$(PIP) -e '.[train,eval,remote,dev]'
	@touch $@ $(VENV)/.server

$(VENV)/.editors: $(VENV)/.dev
	@$(PIP) -e '.[editors]'
	@touch $@
