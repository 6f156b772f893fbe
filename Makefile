# What people and CI run; `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup lock check test parity demo sandbox bench
help: ## list the targets
	@awk -F':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST)

##@ Set up
setup: .venv/.ready ## make the virtual environment, with the locked dependencies

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "MeltanoData needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo missing)."; \
	  echo "Install one (Debian 12 and Ubuntu 24.04 have it), or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.11"; \
	  exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get update --quiet && apt-get install --yes --quiet python3-venv; }  # Debian packages it apart
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

lock: setup ## write requirements.lock from pyproject.toml
	env -u PIP_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url \
	  --no-header --python-version 3.11 --output-file requirements.lock
	env -u PIP_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --extra bench --generate-hashes --no-emit-index-url \
	  --no-header --python-version 3.11 --constraint requirements.lock --output-file bench/requirements.lock

##@ Check
check: setup ## lint, types, imports between packages, schema, fleet file, workflows: a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/meltanodata schema --check
	env -u PULUMI_STACK $(BIN)/meltanodata check  # a shell may be the sandbox's
	$(BIN)/zizmor --offline --quiet .github

test: check ## everything that CI runs
	@command -v ping >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet iputils-ping; }  # for `doctor`
	$(BIN)/pytest -n 3 --dist loadfile  # most tests wait: for droplets, clusters, the engine

parity: setup ## the stand-in plugins against official ones, which are in the folder MELTANODATA_OFFICIAL_PLUGINS
	@test -n "$$MELTANODATA_OFFICIAL_PLUGINS" || { echo "set MELTANODATA_OFFICIAL_PLUGINS to a folder of plugins"; exit 1; }
	$(BIN)/pytest tests/parity tests/sandbox/test_digitalocean.py tests/sandbox/test_engine_*.py \
	  tests/sandbox/test_tenants.py tests/sandbox/test_story.py

##@ Look
demo: setup ## make two tenants on a sandbox, examine them, remove one; LIGHT=1, BROWSER=1
	@$(BIN)/python -m sandbox.demo $(if $(LIGHT),--light) $(if $(BROWSER),--browser)

sandbox: setup ## start a sandbox and leave it running; LIGHT=1
	@$(BIN)/python -m sandbox start $(if $(LIGHT),--droplets light --databases light)

##@ Measure
bench: setup ## time and memory for 1 to 500 tenants, beside Terraform and Ansible; ARGS="--fleet 60"
	$(BIN)/pip install --quiet --require-hashes --requirement bench/requirements.lock
	@$(BIN)/python -m bench $(ARGS)
