# Two commands on a fresh machine: `make demo` and `make test`. Python 3.11+ is all they need.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo dev test check bench lock help

help:  ## what can be made
	@grep -hE '^[a-z.]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv: requirements.lock pyproject.toml  ## install what the lock names, and nothing else
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Veelocity needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch .venv

lock:  ## resolve pyproject.toml anew into requirements.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet --output-file requirements.lock pyproject.toml
