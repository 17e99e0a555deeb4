# `make serve` and `make test` set everything up themselves: a virtual environment in .venv, and this
# package built as a wheel and installed into it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Tests run in a process per core; in one, as a debugger wants it: make test PARALLEL= ARGS="-x tests/runtime"
PARALLEL ?= -n auto --dist worksteal
SOURCES := pyproject.toml dispatcher.toml README.md $(shell find runtime actors benchmarks -name '*.py' -o -name '*.toml' -o -name py.typed)
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: serve test check lint corpus clients table-of-clients simulate scenarios mutations fuzz bench clean help

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

serve: $(VENV)/.installed ## Set everything up and run the daemon
	@exec $(BIN)/llm-dispatcher serve $(ARGS)

test: $(VENV)/.installed $(VENV)/.tools ## Set everything up and run all tests and checks
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

lint: $(VENV)/.installed $(VENV)/.tools ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p llm_dispatcher.actors -p llm_dispatcher.runtime -p llm_dispatcher.benchmarks
	$(BIN)/mypy tests

corpus: $(VENV)/.installed $(VENV)/.tools ## Dispatch every recorded exchange end to end and print the table
	$(BIN)/python -m tests.corpus.replay $(ARGS)

# In an environment of their own, since they bring older versions of what the tests use.
clients: ## The makers' own clients on a vendor of every dialect, as a table: ARGS="--client anthropic -v"
	@$(MAKE) --no-print-directory VENV=$(VENV)-clients table-of-clients

table-of-clients: $(VENV)/.installed $(VENV)/.clients
	$(BIN)/python -m tests.clients.matrix $(ARGS)

simulate: $(VENV)/.installed $(VENV)/.tools ## Play seeded worlds against the house's promises: SEEDS=50, or one: SEED=1234 ARGS=-v
	$(BIN)/python -m tests.simulation.run $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),50)) $(ARGS)

fuzz: $(VENV)/.installed $(VENV)/.tools ## Try spoiled input on everything that strangers can send to: make fuzz SECONDS=60
	$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),60) $(ARGS)

scenarios: $(VENV)/.installed $(VENV)/.tools ## Let every fault of the table happen and print what was measured
	$(BIN)/python -m tests.scenarios $(ARGS)

mutations: $(VENV)/.installed $(VENV)/.tools ## Make deliberate mistakes, and see that the tests notice (ONLY="name ...")
	$(BIN)/python -m tests.mutations $(ONLY)

bench: $(VENV)/.installed $(VENV)/.tools ## CPU time per request of the pieces and of the whole daemon
	$(BIN)/python -m llm_dispatcher.benchmarks.hotpath $(ARGS)

clean: ## Remove everything that was set up
	rm -rf $(VENV) $(VENV)-clients build *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "llm-dispatcher needs Python 3.11 or newer; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Making a virtual environment failed; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(VENV)/.installed: $(BIN)/python $(SOURCES)
	@echo "Installing llm-dispatcher into $(VENV) ..."
	@rm -rf build
	@$(PIP) --force-reinstall --no-deps . && $(PIP) .
	@touch $@

$(VENV)/.tools: $(BIN)/python pyproject.toml
	@echo "Installing the test tools ..."
	@$(PIP) '.[test,lint,yaml]'
	@touch $@

$(VENV)/.clients: $(BIN)/python pyproject.toml
	@echo "Installing the clients ..."
	@$(PIP) '.[test,clients]'
	@if command -v npm >/dev/null; \
	  then npm install --silent --no-audit --no-fund --prefix $(VENV)/clients-node openai@7; \
	  else echo "There is no npm, so the package for Node is left out."; fi
	@touch $@
