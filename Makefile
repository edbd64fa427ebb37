# The commands there are. Each makes .venv and installs into it when that is needed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Python keeps what it compiles, whatever the shell says: else every process would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help reproduce site test pytest lint lab bench campaigns clean

PYTHON ?= python3
PROFILE ?= smoke lite
PY := .venv/bin/python
INSTALLED := .venv/.installed
INSTALLING := .venv/.installing
QUIETLY = $(PY) -m pip install --quiet --no-compile
LIGHT = ipywidgets jupyterlab papermill mypy myst-nb nbstripout pre-commit pytest ruff seaborn selenium sphinx-book-theme umap-learn
SUITABLE := 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
  "marsnb needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d: name one that is, as in make PYTHON=python3.11 test" % v)'

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

reproduce: $(INSTALLED)  ## run every notebook at smoke and at lite (PROFILE=...) and build the site; names the page to open
	.venv/bin/marsnb reproduce $(PROFILE:%=--profile %)

site: $(INSTALLED)  ## the site alone: notebooks drawn at lite from the ledger
	.venv/bin/marsnb site

test: $(INSTALLED)  ## ruff, mypy and pytest: everything that has to hold
	@$(MAKE) --no-print-directory -j 2 lint pytest

# The tests write some 20,000 small files: where memory has room for them, they need not wait for a disk.
SCRATCH = $(shell free=$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $$4}'); \
  if [ "$${free:-0}" -gt 4000000 ]; then echo /dev/shm; else echo "$${TMPDIR:-/tmp}"; fi)

pytest: $(INSTALLED)
	@scratch=$$(mktemp -d "$(SCRATCH)/marsnb.XXXXXX"); trap 'rm -rf "$$scratch"' EXIT; \
	TMPDIR=$$scratch OMP_NUM_THREADS=1 $(PY) -m pytest -n 3

lint: $(INSTALLED)  ## ruff and mypy only
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy marsnb

lab: $(INSTALLED)  ## open the notebooks in JupyterLab
	$(PY) -m jupyterlab --notebook-dir=notebooks

bench: $(INSTALLED)  ## measure speed and memory (tests/benchmarks), printing what is measured
	$(PY) -m pytest tests/benchmarks -s -o norecursedirs= -o python_files='*.py' -o python_functions='test_* bench_*' -o timeout=0

campaigns: $(INSTALLED)  ## kill, crowd, fill the disk, feed nonsense (tests/campaigns, an hour or more), printing what is counted
	$(PY) -m pytest tests/campaigns -s -o norecursedirs= -o python_files='*.py' -o timeout=0

clean:  ## remove what is generated and not kept; .venv, runs/, data/ and figures/ stay
	rm -rf build lightning_logs .pytest_cache .mypy_cache .ruff_cache marsnb.egg-info
	find marsnb tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# .installing outlives an install that was killed: such an environment may hold half a package, so it is made anew.
# Python compiles a module when it is first imported: compiling all 18,000 beforehand takes longer than a minute.
# The pip that comes with Python 3.11 takes a minute longer than a new one.
$(INSTALLED): pyproject.toml constraints.txt
	@if [ -e $(INSTALLING) ]; then echo "the last install was interrupted: making .venv anew"; rm -rf .venv; fi
	@$(PY) -m pip --version >/dev/null 2>&1 || { $(PYTHON) -c $(SUITABLE) && $(PYTHON) -m venv .venv; }
	@touch $(INSTALLING)
	$(PY) -m pip install --quiet --upgrade -c constraints.txt pip
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
	  echo "torch and the notebooks' packages first, side by side: pip uses one core"; \
	  $(QUIETLY) --no-deps $$(grep -E '^(torch|torchvision|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==' constraints.txt) & \
	  $(QUIETLY) -c constraints.txt $(LIGHT) || true; wait || true; fi
	$(PY) -m pip install --no-compile -c constraints.txt -e '.[dev,site]'
	@rm -f $(INSTALLING)
	@touch $@
