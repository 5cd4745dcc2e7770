# Everything runs in .venv, made from pinned versions; a second call costs nothing.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help venv demo chat test quick lint types pytest bench docs clean

help:
	@echo "make demo    four agents, evictions, recall, a timer, a kill -9, and the proof of it all (no key, no server)"
	@echo "make chat    talk to an agent (offline model; see README for a real one)"
	@echo "make test    linters, type checker and all tests"
	@echo "make quick   the tests of the core, of the questions and of the house's rules (half a minute)"
	@echo "make bench   what a turn costs on this machine"
	@echo "make docs    the page of the Python API, into build/docs"
	@echo "make venv    only the environment"

venv: $(INSTALLED)

$(INSTALLED): requirements.txt requirements-dev.txt constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed (python3.11 or python3 on the PATH)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	@echo "Making .venv from the pinned versions (once, a minute or two) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: venv
	@$(BIN)/python launch.py demo

chat: venv
	@$(BIN)/python launch.py chat

bench: venv
	@$(BIN)/python launch.py bench

docs: venv
	@$(BIN)/python docs/api/page.py

test: lint types pytest

quick: venv
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not slow" tests/events tests/house tests/questions tests/golden

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

pytest: venv
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
