# Everything that a clone of this repository can do. It needs Python 3.11 or newer. No other setup
# is needed, as each target makes .venv first if it is missing.

PYTHON ?= python3
VENV   := .venv
STAMP  := $(VENV)/.installed
BIN    := $(VENV)/bin
SPOT   := $(BIN)/spot

# How a cluster is started: make mesh-up NODES=7 RATE=100 BACKEND=process DIRECT=1
UP_OPTIONS = $(NODES:%=--nodes %) $(RATE:%=--rate %) $(if $(DIRECT),--direct)
ifdef BACKEND
export BACKEND
endif

.DEFAULT_GOAL := help
.PHONY: help install scenarios scenario images doctor test check lint cover bench sim faults soak clean

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^## / { printf "\n%s\n", substr($$0, 4) } \
	  /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "NODES=7, RATE=100, BACKEND=process or docker, and DIRECT=1 (no proxies) may follow an -up target."
	@echo "PYTHON=python3.12 chooses a Python."

## A cluster on this machine
TOPOLOGIES := mesh two-node hub-spoke
.PHONY: $(foreach t,$(TOPOLOGIES),$(t)-up $(t)-status $(t)-logs $(t)-down)

mesh-up: $(STAMP) ## start three nodes that know one another (NODES=7: seven)
mesh-status: $(STAMP) ## show its nodes, links and traffic
mesh-logs: $(STAMP) ## show the logs of its nodes
mesh-down: $(STAMP) ## end it
two-node-up: $(STAMP) ## start two nodes
two-node-status: $(STAMP) ## show their links and traffic
two-node-logs: $(STAMP) ## show their logs
two-node-down: $(STAMP) ## end them
hub-spoke-up: $(STAMP) ## start a hub with three spokes (NODES=7: seven)
hub-spoke-status: $(STAMP) ## show their links and traffic
hub-spoke-logs: $(STAMP) ## show their logs
hub-spoke-down: $(STAMP) ## end them

$(TOPOLOGIES:%=%-up): %-up:
	@$(SPOT) up $* $(UP_OPTIONS)
$(TOPOLOGIES:%=%-status): %-status:
	@$(SPOT) status $*
$(TOPOLOGIES:%=%-logs): %-logs:
	@$(SPOT) logs $*
$(TOPOLOGIES:%=%-down): %-down:
	@$(SPOT) down $*

## Scenarios
scenarios: $(STAMP) ## run all of them, with a report (BACKEND=docker; ARGS='--jobs 1')
	@$(SPOT) scenario run all $(ARGS)

scenario: $(STAMP) ## run one: make scenario NAME=split-brain, or NAME=random SEED=7
	@$(SPOT) scenario $(if $(NAME),run $(NAME) $(SEED:%=--seed %),list) $(ARGS)

## Containers
images: $(STAMP) ## build the images of node and Toxiproxy (the -up targets do, once)
	@PYTHON=$(abspath $(BIN)/python) scripts/images.sh $(ARGS)

doctor: $(STAMP) ## check engine, compose, images and proxy, and say how to get them
	@$(SPOT) doctor

## Work on SPOT
test: $(STAMP) ## run every test
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore=tests/containers $(ARGS); \
	  result=$$?; $(BIN)/python -m pytest -q -n 2 tests/containers && exit $$result

check: lint ## lint, and the tests of a few minutes: core, library, 200 simulated schedules
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/core tests/library \
	  tests/simulation/test_seeds.py $(ARGS)
	@$(BIN)/python -m tests.simulation --seeds 200

lint: $(STAMP) ## check style, format and types
	@result=0; \
	  $(BIN)/ruff check . || result=1; \
	  $(BIN)/ruff format --check . || result=1; \
	  $(BIN)/mypy || result=1; \
	  exit $$result

cover: $(STAMP) ## measure which lines tests run (ARGS='tests/core tests/library': only these)
	@rm -rf .coverage && mkdir .coverage
	@$(BIN)/coverage run -m pytest -q -n 2 --dist worksteal \
	  -o timeout=300 -o faulthandler_timeout=290 \
	  $(or $(ARGS),--ignore=tests/containers --ignore=tests/bench); result=$$?; \
	  $(BIN)/coverage combine --quiet && $(BIN)/coverage html --quiet && \
	  $(BIN)/coverage report && echo "Line by line: .coverage/html/index.html" && exit $$result

bench: $(STAMP) ## compare the speed of SPOT, raw pyzmq and others, and draw it (ARGS=--help: more)
	@$(BIN)/python -m bench $(or $(ARGS),--picture)

sim: $(STAMP) ## run thousands of simulated fault schedules
	@$(BIN)/python -m tests.simulation $(ARGS)

faults: $(STAMP) ## measure how fast cut and silent links are noticed and healed
	@$(BIN)/python -m tests.faults $(ARGS)

soak: $(STAMP) ## five minutes of a mesh under load: memory flat, nothing lost
	@$(BIN)/python -m tests.soak $(ARGS)

install: $(STAMP) ## make .venv with SPOT and all tools (the other targets do it by themselves)

clean: ## remove .venv and the caches of tools
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "SPOT needs Python 3.11 or newer; $(PYTHON) is older, or missing." \
	       "Name another: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Making $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing SPOT and its tools into it, about a minute ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[testbed,dev]'
	@touch $@
	@echo "Ready."
