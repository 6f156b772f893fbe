# What people and CI run; `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup pulumi lock check test parity demo sandbox bench
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

# The version is the SDK's, which pyproject.toml pins. The archive and its checksum come from two hosts, so that one of them
# alone cannot pass off another program.
PULUMI_ARCHIVES ?= https://get.pulumi.com/releases/sdk
PULUMI_CHECKSUMS ?= https://github.com/pulumi/pulumi/releases/download
pulumi: setup ## install Pulumi's CLI into .venv/bin, of the version that the program runs with, by its checksum
	@set -eu; PATH="$(CURDIR)/$(BIN):$$PATH"; \
	version=$$(python -c 'from importlib.metadata import version; print(version("pulumi"))'); \
	case "$$(PULUMI_SKIP_UPDATE_CHECK=true pulumi version 2>/dev/null || true)" in \
	  "v$$version" | "$$version") echo "$$(command -v pulumi) is Pulumi $$version already"; exit;; esac; \
	case "$$(uname -m)" in x86_64) machine=x64;; aarch64 | arm64) machine=arm64;; *) machine=$$(uname -m);; esac; \
	archive="pulumi-v$$version-$$(uname -s | tr '[:upper:]' '[:lower:]')-$$machine.tar.gz"; \
	draft=$$(mktemp -d "$(CURDIR)/.venv/pulumi.XXXXXX"); trap 'rm -rf "$$draft"' EXIT; cd "$$draft"; \
	curl --fail --silent --show-error --location --retry 3 --output "$$archive" "$(PULUMI_ARCHIVES)/$$archive"; \
	curl --fail --silent --show-error --location --retry 3 --output checksums.txt \
	  "$(PULUMI_CHECKSUMS)/v$$version/pulumi-$$version-checksums.txt"; \
	sha256=$$(command -v sha256sum || echo "shasum -a 256"); \
	$$sha256 --check --ignore-missing checksums.txt || { \
	  echo "$$archive is not what Pulumi's release says. Nothing was installed." >&2; exit 1; }; \
	tar -xzf "$$archive"; \
	for program in pulumi/pulumi-* pulumi/pulumi; do mv "$$program" "$(CURDIR)/$(BIN)/"; done; \
	echo "$(BIN)/pulumi is Pulumi $$version. Put it on the PATH: . $(BIN)/activate"

lock: setup ## write requirements.lock from pyproject.toml
	env -u PIP_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url \
	  --no-header --python-version 3.11 --output-file requirements.lock
	env -u PIP_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --extra bench --generate-hashes --no-emit-index-url \
	  --no-header --python-version 3.11 --constraint requirements.lock --output-file bench/requirements.lock

##@ Check
EARLIER := tests/sandbox/test_earlier_stacks.py
check: setup ## lint, types, imports between packages, schema, fleet file, workflows, earlier stacks: two minutes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/meltanodata schema --check
	env -u PULUMI_STACK $(BIN)/meltanodata check  # a shell may be the sandbox's
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/python -m tests.tools actionlint -shellcheck= -pyflakes=  # alike on every machine, whatever is installed
	$(BIN)/pytest --quiet $(EARLIER)  # their first plan shows what CHANGELOG.md says; builds the engine, once

test: check ## everything that CI runs
	@command -v ping >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet iputils-ping; }  # for `doctor`
	$(BIN)/pytest -n 3 --dist loadfile --ignore $(EARLIER)  # most tests wait: for droplets, clusters, the engine

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
