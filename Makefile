# securechan: everything a fresh machine with Python 3.11+ and make needs to be told
.PHONY: demo test check bench chaos fuzz soak interop lock clean help
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
SECONDS ?= 15
STEPS ?= 200
SEED ?= 9420

demo: $(VENV)/run.stamp            ## a relay, three agencies, real bulletins, in under a minute
	$(BIN)/securechan demo $(DEMO)

test: $(VENV)/dev.stamp            ## everything but the long runs
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(T)

check: $(VENV)/dev.stamp           ## format, lints, types, who may import whom
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(VENV)/dev.stamp           ## tables of tests/bench/README.md, on this machine
	$(BIN)/python -m tests.bench $(B)

chaos: $(VENV)/dev.stamp           ## faults under load, and a reckoning: nothing lost, nothing twice (C="--rounds 10 sqlite")
	$(BIN)/python -m tests.chaos $(C)

interop: $(VENV)/dev.stamp         ## groups mixed with other MLS implementations, installed into .interop (STEPS=200 SEED=9420)
	PYTHON=$(PYTHON) tests/interop/install.sh .interop
	SECURECHAN_INTEROP=.interop SECURECHAN_INTEROP_STEPS=$(STEPS) SECURECHAN_INTEROP_SEED=$(SEED) \
		$(BIN)/python -m pytest -n $(JOBS) tests/interop $(T)

fuzz: $(VENV)/fuzz.stamp           ## every decoder, SECONDS of CPU each, and a table: tests/fuzz/README.md
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(F)

soak: $(VENV)/dev.stamp            ## long walks: MLS groups of up to 50 members, thousands of steps; a relay under 10,000 schedules
	$(BIN)/python -m pytest -m slow --timeout 7200 tests/mls/test_stateful.py tests/relay/test_schedules.py $(T)

lock: $(VENV)/dev.stamp            ## renew the hash-pinned requirements from pyproject.toml
	$(BIN)/python tests/support/lock.py

help:                              ## what there is to make
	@awk -F ':.*## *' '/^[a-z]+:.*## / {printf "make %-8s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean:
	rm -rf $(VENV) .interop .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/run.stamp: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "securechan needs Python 3.11 or newer; say: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

$(VENV)/fuzz.stamp: $(VENV)/dev.stamp tests/fuzz/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/fuzz/requirements.txt || \
		echo "no atheris for this machine: chance alone will drive"
	touch $@
