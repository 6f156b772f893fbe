# What people and CI run; `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup check demo sandbox lock test parity bench
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## the virtual environment with the locked dependencies

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get update --quiet && apt-get install --yes --quiet python3-venv; }  # Debian's is a part
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

check: setup ## lint, types, the schema's freshness, the fleet file, the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/meltanodata schema --check
	$(BIN)/meltanodata check
	$(BIN)/zizmor --offline --quiet .github

demo: setup ## from nothing to two tenants and back to one, looked at as a person would; LIGHT=1, BROWSER=1
	@$(BIN)/python -m sandbox.demo $(if $(LIGHT),--light) $(if $(BROWSER),--browser)

sandbox: setup ## a sandbox to play with, which keeps running; LIGHT=1
	@$(BIN)/python -m sandbox start $(if $(LIGHT),--droplets light --databases light)

lock: setup ## write requirements.lock anew from pyproject.toml
	env -u PIP_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url \
	  --no-header --python-version 3.11 --output-file requirements.lock
	env -u PIP_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --extra bench --generate-hashes --no-emit-index-url \
	  --no-header --python-version 3.11 --constraint requirements.lock --output-file bench/requirements.lock

bench: setup ## what fleets cost, beside what one would pick instead; ARGS="--fleet 60"
	$(BIN)/pip install --quiet --require-hashes --requirement bench/requirements.lock
	@$(BIN)/python -m bench $(ARGS)

test: check ## everything that CI runs
	@command -v ping >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet iputils-ping; }  # the doctor's
	$(BIN)/pytest -n 3 --dist loadfile  # most of it waits: for droplets, clusters, the engine

parity: setup ## the stand-in plugins beside official ones (in MELTANODATA_OFFICIAL_PLUGINS), and the engine's tests with those
	@test -n "$$MELTANODATA_OFFICIAL_PLUGINS" || { echo "set MELTANODATA_OFFICIAL_PLUGINS to a folder of plugins"; exit 1; }
	$(BIN)/pytest tests/parity tests/sandbox/test_digitalocean.py tests/sandbox/test_engine_*.py \
	  tests/sandbox/test_tenants.py tests/sandbox/test_story.py
