# Two commands on a fresh machine: `make demo` and `make test`. Python 3.11+ is all they need.
PYTHON ?= python3
BIN = .venv/bin

# alembic's own table has a varchar, counts and ranks are small on purpose, SQLAlchemy writes serial,
# and whoever migrates sets the timeouts
SQUAWK = --exclude prefer-text-field,prefer-bigint-over-int,prefer-bigint-over-smallint,prefer-identity,require-lock-timeout,require-statement-timeout,require-concurrent-index-deletion

.PHONY: demo dev test check bench lock help

help:  ## what can be made
	@grep -hE '^[a-z.]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: .venv  ## a sample organisation, live on this machine
	@$(BIN)/python -m bot demo

dev: .venv  ## the same without the sample
	@$(BIN)/python -m bot dev

test: .venv  ## every test, on real stores; browser tests where a Chromium is found
	$(BIN)/pytest -n 2 tests --ignore=tests/browser
	@if ls tests/browser/test_*.py >/dev/null 2>&1; then set -x; $(BIN)/pytest tests/browser; fi

check: .venv  ## formatting, linting, types, import contracts, migrations
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@mkdir -p build
	$(BIN)/python -m bot migrate --sql > build/migrations.sql
	$(BIN)/squawk --pg-version 15.0 $(SQUAWK) build/migrations.sql

bench: .venv  ## the benchmarks, side by side
	@$(BIN)/python -m bench

.venv: requirements.lock pyproject.toml  ## install what the lock names, and nothing else
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Veelocity needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	@touch -t 200001010000 .venv  # an interrupted install must not look finished
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch .venv

lock:  ## resolve pyproject.toml anew into requirements.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock pyproject.toml
