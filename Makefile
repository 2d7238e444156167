# Every target sets up what it needs: one virtual environment in .venv, made once.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SETUP_FILES := pyproject.toml setup.py .ci/constraints-cpu.txt $(wildcard .ci/torchvision_shim/*.py)
FAST := not slow and not e2e and not gpu
# Two workers, a thread each: a file of tests stays in one, so that what its tests share is made once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: install demo demo-null test test-all check clean

install: $(INSTALLED)

$(INSTALLED): $(SETUP_FILES)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("nnMTL needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c .ci/constraints-cpu.txt -e '.[xlsx,dicom,torchjd,test,dev]'
	$(BIN)/python .ci/torchvision_shim/install.py
	touch $@

demo: $(INSTALLED)
	$(BIN)/nnMTL_demo -o demo_output

demo-null: $(INSTALLED)
	$(BIN)/nnMTL_demo --preset null -o demo_null_output

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

test-all: $(INSTALLED)
	$(PYTEST)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(PYTEST) -q -m "$(FAST)"

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
