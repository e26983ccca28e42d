# securechan: everything a fresh machine with Python 3.11+ and make needs to be told
.PHONY: demo test check bench vectors lock clean
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

demo: $(VENV)/run.stamp            ## a relay, three agencies, real bulletins, in under a minute
	$(BIN)/securechan demo $(DEMO)

test: $(VENV)/dev.stamp            ## everything but the long runs
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(T)

check: $(VENV)/dev.stamp           ## format, lints, types, who may import whom
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(VENV)/dev.stamp           ## tables of tests/bench/README.md, on this machine
	$(BIN)/python -m tests.bench $(B)

lock: $(VENV)/dev.stamp            ## renew the hash-pinned requirements from pyproject.toml
	$(BIN)/python tests/support/lock.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/run.stamp: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "securechan needs Python 3.11 or newer; say: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@
