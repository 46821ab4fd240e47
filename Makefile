# Two commands:   make demo   installs everything and shows the whole loop on the digital twin
#                 make test   installs everything and runs every check that a change must pass
# `make PYTHON=python3.12 demo` picks another interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install -qq --disable-pip-version-check --constraint constraints.txt
INPUTS := pyproject.toml constraints.txt

.PHONY: demo test check wheel docs system environment installed installed-dev clean
.DELETE_ON_ERROR:

demo: installed
	$(BIN)/ebt demo

test: installed-dev check wheel

check: installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/pytest -q --durations=10 --numprocesses=auto --maxprocesses=4

# The wheel, used as a stranger would: a fresh environment, outside the checkout.
wheel: installed-dev
	@set -eu; away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; set -x; \
	$(BIN)/python -m build --no-isolation --wheel --outdir "$$away" . >/dev/null; \
	$(PYTHON) -m venv "$$away/venv"; \
	"$$away/venv/bin/pip" install -qq --disable-pip-version-check --constraint constraints.txt "$$away"/*.whl; \
	cp -r tests/smoke.py tests/runs "$$away/"; cd "$$away"; venv/bin/python smoke.py venv/bin/ebt

# The help texts in docs/cli.md.
docs: installed-dev
	$(BIN)/python tests/cli/help_pages.py

system:
	@.ci/system $(PYTHON)

# Every time, since a file tells nothing of what an interrupted installation left behind; a third of a second.
environment: system
	@.ci/environment $(PYTHON) $(VENV)

# A make of its own, which looks at the marks after the environment was put right.
installed installed-dev: environment
	@$(MAKE) -q $(VENV)/.$@ || $(MAKE) --no-print-directory $(VENV)/.$@

# The marks go first: cut off, an installation is begun again.
$(VENV)/.installed: $(INPUTS)
	@rm -f $(VENV)/.installed*
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(INPUTS)
	@rm -f $(VENV)/.installed*
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
