# One command each; every target makes its own .venv when it is missing. Needs: Python >= 3.11, make (and git to get here).
# A second run costs nothing: the stamps in .venv name what is installed, and a changed lock installs again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
ROOMS := schemas signals edge_agent trainer demo
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help demo test faults fuzz lint format bench bench-learning docs lock edge-clean mosquitto clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp ## sensors -> broker -> fit -> live labels -> table; ends with 0 only if every step held
	$(BIN)/python -m demo $(ARGS)

# Much of the suite waits for processes and brokers, so it runs in as many processes as there are cores, at most four; a
# file stays in one of them. One thread each, or their matrix products would fight for the cores. ARGS="-n 0": one process.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/dev.stamp mosquitto ## the whole test suite (ARGS="tests/signals -x" for a part of it)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

faults: $(VENV)/dev.stamp mosquitto ## every fault of docs/reliability.md, for real and many times (ARGS="R1 --kills 500", "soak --minutes 60")
	$(BIN)/python -m tests.faults $(ARGS)

fuzz: $(VENV)/dev.stamp ## a million mutated payloads through every codec, judged one by one (ARGS="--payloads 100000 --seed 3")
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(VENV)/dev.stamp ## format, style, types, room borders, generated documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

format: $(VENV)/dev.stamp ## put the code into the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/dev.stamp mosquitto ## speeds and memory, beside a plain script doing the same work
	$(BIN)/python -m benchmarks $(ARGS)

bench-learning: $(VENV)/dev.stamp rivals ## accuracy and cost on every problem, beside scikit-learn and aeon (ARGS=--resume to go on)
	$(BIN)/python -m benchmarks archive streams deep_belief novelty $(ARGS)

docs: $(VENV)/dev.stamp ## write the generated pages and schemas of docs/ anew
	$(BIN)/python docs/generate.py

edge-clean: $(VENV)/dev.stamp ## install what a gateway installs, and nothing else, and start the agent there
	$(BIN)/python .ci/edge_clean.py

# ---- environment -----------------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "make: $(PYTHON) is missing or older than 3.11. Install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: this Python cannot make virtual environments. Install them: sudo apt-get install python3-venv (Fedora: dnf install python3-pip)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The locks carry hashes, so nothing else than what was tested is installed; the project itself is one path entry.
$(VENV)/%.stamp: requirements/%.txt requirements/build.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing requirements/$*.txt into $(VENV)"
	@$(PIP) --require-hashes -r requirements/build.txt
	@$(PIP) --require-hashes -r requirements/$*.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

mosquitto:
	@bash .ci/mosquitto

# aeon asks for an older numpy, so it lives apart. It is a rival and no part of anything: without it the run says so and goes on.
.PHONY: rivals
rivals: | $(VENV)/bin/python
	@test -n "$(TELLTALE_RIVALS)" || $(MAKE) --no-print-directory $(VENV)/rivals/installed.stamp || \
	  echo "make: aeon could not be installed; the benchmarks go on without it" >&2

$(VENV)/rivals/installed.stamp: requirements/rivals.txt | $(VENV)/bin/python
	@echo "installing requirements/rivals.txt into $(VENV)/rivals"
	@rm -f $@
	@$(BIN)/python -m venv $(VENV)/rivals
	@$(VENV)/rivals/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/rivals.txt
	@touch $@

# No index address in the locks: they install through whatever index the user has configured (tests/project/test_locks.py).
COMPILE := $(BIN)/uv pip compile --quiet --no-config --universal --generate-hashes --no-header --no-annotate --no-emit-index-url

lock: $(VENV)/dev.stamp ## resolve the locks anew after a change of pyproject.toml (ARGS=--upgrade for newer versions)
	$(COMPILE) $(ARGS) pyproject.toml --extra dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra demo -c requirements/dev.txt -o requirements/demo.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/runtime.txt
	$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) $(ARGS) --python-version 3.11 requirements/rivals.in -o requirements/rivals.txt

clean: ## remove the environment and every cache
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(ROOMS) tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
