# Two commands do everything on a fresh machine: `make demo` and `make test`.
# They install what they need into .venv, with uv, or with pip if uv is not available.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
comma := ,
OUT ?= tigon-demo
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

# Two processes test at once: with a thread each they do not wait for one another.
test test-slow: export OMP_NUM_THREADS := 1

.PHONY: demo test test-slow test-browser lint format setup bench docs models clean help

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo  ## train a generator and a descriptor on the embedded photographs, and write a report
	$(BIN)/tigon demo --out $(OUT)

test: $(VENV)/.test  ## the quick tests
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.test  ## the long tests
	$(BIN)/python -m pytest -n 2 -m slow

test-browser: $(VENV)/.test  ## the explorer in a real Chromium; prints its latency
	$(BIN)/python -m pytest -rs tests/e2e/test_explorer_browser.py

lint: $(VENV)/.lint  ## style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.lint  ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench  ## every benchmark and one table of criteria; hours (needs ../shared/data)
	$(BIN)/python benchmarks/all.py

docs: $(VENV)/.docs  ## the documentation, into site/ (strict, without a network)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

models: $(VENV)/.demo  ## train the small models in models/ again; about two minutes
	$(BIN)/python models/build.py

setup: $(VENV)/.test $(VENV)/.lint $(VENV)/.bench $(VENV)/.docs  ## everything for development

clean:           ## remove what was installed and written
	rm -rf $(VENV) $(OUT) site

# The demo installs only what it needs; the tests also build the documents; stamps are renewed when their inputs change.
# Tests start many processes: where Python must not keep what it compiles, each would compile its modules again.
define install
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/pip install -q -c constraints.txt uv || echo "uv is not available; using pip"
	@if test -x $(BIN)/uv; then \
		$(BIN)/uv pip install -q $(2) --python $(BIN)/python -c constraints.txt -e '.$(1)'; \
	else \
		$(BIN)/pip install -q -c constraints.txt -e '.$(1)'; \
	fi
	@touch $@
endef

$(VENV)/.demo: pyproject.toml constraints.txt
	$(call install,)

$(VENV)/.test: pyproject.toml constraints.txt
	$(call install,[test$(comma)docs],--compile-bytecode)

$(VENV)/.lint: pyproject.toml constraints.txt
	$(call install,[lint])

$(VENV)/.bench: pyproject.toml constraints.txt
	$(call install,[bench])

$(VENV)/.docs: pyproject.toml constraints.txt
	$(call install,[docs])
