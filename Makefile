# `make demo` and `make test` set up everything they need. PYTHON chooses the interpreter: make demo PYTHON=python3.13
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test compiled lint chaos kubernetes bench judges lock

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with exactly the locked packages (nothing to do if it is there)

# Wheels only: what runs at set-up is what the hashes name.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Countersign needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the locked packages into .venv"
	@$(BIN)/python -m pip install --quiet --only-binary :all: --require-hashes --requirement requirements.txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

demo: $(READY) ## five proposals from start to outcome, explained, in under two minutes
	@$(BIN)/python starter.py demo

dev: $(READY) ## start Temporal, PostgreSQL and a worker, and leave them running until Ctrl-C
	@$(BIN)/python starter.py dev

# What the tests need compiled is compiled once, while the types are checked, and not by every process that they start.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(READY) ## all checks and all tests, as CI runs them
	@$(MAKE) --no-print-directory --jobs 2 lint compiled
	@$(BIN)/python -m pytest -m "not chaos" -n 3 --dist loadfile --no-loadscope-reorder

compiled: $(READY)
	@$(BIN)/python -m pytest --collect-only --quiet --quiet >/dev/null || true  # what is wrong, the tests say

lint: $(READY) ## format, lint, types and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports

chaos: $(READY) ## kill and restart every part in every state; then at random, several hundred actions (long)
	@$(BIN)/python -m pytest -m chaos --ignore tests/faults/test_chaos.py -n 3 --dist load --timeout 1200
	@$(BIN)/python -m pytest -m chaos tests/faults/test_chaos.py

kubernetes: $(READY) ## ask a real Kubernetes API server what the emulated one is asked (Debian; builds one first, long)
	@tests/real_kubernetes/build.sh .dev/kubernetes-1.20.2
	@$(BIN)/python -m pytest tests/real_kubernetes/contract.py tests/real_kubernetes/scenarios.py

bench: $(READY) ## measure against bare Temporal workflows (docs/benchmarks.md)
	@$(BIN)/python -m bench

judges: $(READY) ## which real outages would have met their gate, and what passes with no person
	@$(BIN)/python -m judges

lock: $(READY) ## write requirements.txt anew from pyproject.toml, newest versions allowed, hashes for all platforms
	@CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile pyproject.toml --extra dev --extra test --upgrade \
	  --generate-hashes --allow-unsafe --no-strip-extras --quiet --output-file requirements.txt \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
