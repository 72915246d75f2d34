# Every target does its own set-up in .venv; a stamp makes that fast when nothing changed.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo methods test test-all test-web test-processors mutants crash damage sanitize check format bench clean

VENV   := .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
# Touched last, so that a set-up that was interrupted is simply done again.
STAMP  := $(VENV)/.installed
# A few tests train small networks: more threads than cores make them slower, not faster.
JOBS   ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 8 ] && echo 8 || echo $$n)

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What the compiled kernel is made of: a change builds it anew.
KERNEL := CMakeLists.txt cpp/bindings.cpp $(wildcard cpp/kernel/*)

$(STAMP): pyproject.toml $(KERNEL)
	@test -x $(BIN)/python || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[all,dev]"
	@touch $@

setup: $(STAMP)  ## Environment in .venv with everything, editable.

demo: $(STAMP)  ## Handwritten digits: train, index, cut, evaluate, report (about a minute).
	$(BIN)/anybit demo --output demo --overwrite

methods: $(STAMP)  ## Write docs/methods.md from the registries of methods.
	$(BIN)/python -c "from pathlib import Path; from anybit.training import methods_page; \
	Path('docs/methods.md').write_text(methods_page(), 'utf-8')"

test: $(STAMP)  ## The tests, without the slow ones.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) -m "not slow" --ignore=tests/web
	$(MAKE) test-web

test-all: $(STAMP)  ## The tests, all of them.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --ignore=tests/web
	$(MAKE) test-web

# In one process: its tests share two servers and a browser. Skipped where there is no Chromium.
test-web: $(STAMP)  ## The search page in a real browser (Chromium; about half a minute).
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -rs tests/web

test-processors: $(STAMP)  ## The numeric tests under every instruction set of this processor (about an hour).
	PYTHONPATH=tests $(BIN)/python -m processors.run_levels --jobs $(JOBS)

mutants: $(STAMP)  ## 300 small errors in four rooms, each with its tests (up to an hour).
	PYTHONPATH=tests $(BIN)/python -m mutants.run_mutants --jobs $(JOBS)

crash: $(STAMP)  ## Kill writers and migrations 500 times, four writers for a minute (15 minutes).
	ANYBIT_KILLS=200 ANYBIT_WRITERS_S=60 ANYBIT_MIGRATION_KILLS=300 ANYBIT_MIGRATION_STRIDE=7 \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s tests/crash

damage: $(STAMP)  ## Damage the files of a collection 1,000 times (four minutes).
	ANYBIT_DAMAGES=1000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s tests/hostile/test_damaged_collection.py

sanitize: $(STAMP)  ## The kernel's own tests under address and undefined-behaviour sanitizers.
	$(BIN)/cmake -S . -B build/sanitize -DANYBIT_PYTHON=OFF -DANYBIT_TESTS=ON -DANYBIT_SANITIZE=ON
	$(BIN)/cmake --build build/sanitize --parallel $(JOBS)
	build/sanitize/anybit_kernel_test

check: $(STAMP)  ## Format, lint, types, imports, tests.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

format: $(STAMP)  ## Put the code in the house format.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo/model/config.json: | $(STAMP)
	$(BIN)/anybit demo --output demo --overwrite

bench: $(STAMP) demo/model/config.json  ## Evaluation and encoding speed; others need data.
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/encoding.py demo/model demo/digits/database

clean:  ## Remove what runs wrote; keep the environment.
	rm -rf demo runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
