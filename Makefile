# Everything runs from .venv, made from requirements.lock. PYTHON names the Python to make it with.
BIN := .venv/bin
ARGS ?=
# Without bytecode every process would compile torch's sources anew: 18 s instead of 5 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: docs pictures setup demo test check fresh wheels wheel pythons lint kills bench bench-train contract lock clean

setup:
	@PYTHON='$(PYTHON)' sh scripts/setup.sh
	@$(BIN)/python -m scripts.generate_client

demo: setup
	@$(BIN)/stemma demo $(ARGS)

# Whole files, so that what a file's tests share is made once; tests/conftest.py says in what order.
test: setup
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# Lint, types, and the tests of what differs from a commit: ARGS="--base main~3".
check: setup
	@$(BIN)/python -m scripts.check $(ARGS)

# The demo in fresh clones: other folders, users, Pythons, limits. ARGS="--list" names them.
fresh: setup
	@$(BIN)/python -m scripts.fresh $(ARGS)

# All locked packages as files, to set up where there is no network: docs/operator/index.md.
wheels: setup
	@$(BIN)/python -I scripts/setup.py --npm-cache wheels/npm
	@$(BIN)/python -m pip download --quiet --no-deps --require-hashes -r requirements.lock -d wheels

# The Python package, as a running system offers it at /client.
wheel: setup
	@$(BIN)/python -m api.operations.client_package dist
	@$(BIN)/python -m scripts.trainer_wheel dist

# The Python package on each Python that it is for, as far as they are to be had.
pythons: setup
	@$(BIN)/python -m scripts.pythons

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# While a trainer of users trains: tests/system/test_trainer_kills.py. SEED repeats a run.
KILLS ?= 200
SEED ?=
kills: setup
	@STEMMA_KILLS=$(KILLS) STEMMA_KILLS_SEED=$(SEED) $(BIN)/python -m pytest -s --timeout 14400 \
		tests/system/test_trainer_kills.py

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

bench-train: setup
	@$(BIN)/python -m benchmarks training loading $(ARGS)

# The documentation as a site, in build/site.
docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/site/index.html"

# The pictures of the documentation, from a demo in Chromium.
pictures: setup
	@$(BIN)/python -m scripts.pictures

contract: setup
	@$(BIN)/python -m adapters.subscriptions.contract
	@$(BIN)/python -m api.contract
	@$(BIN)/python -m scripts.generate_client

lock:
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 --extra dev --extra pages --extra worker pyproject.toml -o requirements.lock
	@for part in backend worker build; do $(BIN)/python -m scripts.lock $$part; done

clean:
	rm -rf .venv .stemma stemma_client/_generated build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
