# Needs python 3.11 or later, make, and a package index.  Everything else is set up in .venv.
# PYTHON=python3.12 chooses the interpreter.  DEMO_ARGS, PYTEST_ARGS and BENCH_ARGS are passed on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
DEMO_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=

# The core and the verifier are covered whole by their own tests, which alone are measured: that slows all that runs.
# A run of chosen tests is neither measured nor spread over processes.
PURE := tests/core tests/verify
SPREAD := --dist=loadfile --no-loadscope-reorder
MEASURED := $(PURE) --numprocesses=logical --cov=keyturn.core --cov=keyturn.verify --cov-report=term
OTHERS := tests $(PURE:%=--ignore=%) --numprocesses=auto
SUITE = $(if $(PYTEST_ARGS),$(BIN)/python -m pytest $(PYTEST_ARGS),\
	$(BIN)/python -m pytest $(SPREAD) $(MEASURED) && $(BIN)/python -m pytest $(SPREAD) $(OTHERS))

# Import times double and more where byte code may not be written, so it is compiled ahead (stack, "traps measured").
COMPILE = $(BIN)/python -m compileall -qq -j 0

.PHONY: help demo test test-full lint bench pins docs clean provision provision-bench compiled .venv
.DEFAULT_GOAL := help

help:
	@echo "make demo       play one reset on a real server and database (DEMO_ARGS=--once: play it and leave)"
	@echo "make test       lint, types and the whole test-suite, PostgreSQL included"
	@echo "make test-full  the same, and what takes long: every kill point on both databases"
	@echo "make bench      the figures (BENCH_ARGS=--json for a program)"
	@echo "make lint       ruff, mypy and the import contracts"
	@echo "make docs       write the generated reference pages again"
	@echo "make pins       resolve requirements/*.in again (needs uv)"

demo: $(VENV)/stamp-runtime compiled
	@$(BIN)/keyturn demo $(DEMO_ARGS)

test: .venv provision lint
	@$(SUITE)

test-full: .venv provision lint
	@export KEYTURN_TEST_FULL=1; $(SUITE)

lint: .venv
	@$(BIN)/ruff check --quiet . && echo "ruff: clean"
	@$(BIN)/ruff format --quiet --check . && echo "format: clean"
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: .venv provision-bench
	@$(BIN)/python -m tests.bench $(BENCH_ARGS)

docs: .venv
	@$(BIN)/python -m tests.docs.generate

provision: .venv
	@$(BIN)/python -m tests.provision test

provision-bench: .venv
	@$(BIN)/python -m tests.provision bench

# Everything a developer needs: the server's pins and the test-suite's.
.venv: $(VENV)/stamp-runtime $(VENV)/stamp-test compiled

compiled: $(VENV)/stamp-runtime
	@$(COMPILE) src

$(VENV)/stamp-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "keyturn needs Python 3.11 or later; '$(PYTHON)' is" "$$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments." >&2; \
	  echo "On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/stamp-runtime: $(VENV)/stamp-python requirements/build.txt requirements/runtime.txt requirements/passkeys.txt \
    pyproject.toml
	@echo "installing what the server needs (pinned, hashes checked) ..."
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt -r requirements/passkeys.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(COMPILE) $(VENV)/lib || true  # a package may carry a template that is no Python
	@touch $@

$(VENV)/stamp-test: $(VENV)/stamp-runtime requirements/test.txt
	@echo "installing what the tests need (pinned, hashes checked) ..."
	@$(PIP) install --require-hashes -r requirements/test.txt
	@$(COMPILE) $(VENV)/lib || true
	@touch $@

UV := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --no-strip-extras \
      --universal --python-version 3.11
pins:
	@cd requirements && for set in build runtime postgres passkeys oidc test; do $(UV) --upgrade $$set.in -o $$set.txt; done

clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .coverage .hypothesis
