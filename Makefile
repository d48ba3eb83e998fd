# Two commands do everything: `make demo` and `make test`. See README.md.
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: demo test test-long test-containers bench check lock clean

demo: $(VENV)/.runtime
	$(RUN)/python -m demo

test: $(VENV)/.dev check
	@scripts/need redis-server chromium nginx caddy
	$(RUN)/pytest -n 4 --dist loadgroup -m "not long and not containers"

test-long: $(VENV)/.dev
	@scripts/need redis-server chromium nginx caddy
	$(RUN)/pytest -m long

# Side by side with what people run today; wants a quiet machine of two cores and a quarter of an hour.
bench: $(VENV)/.dev
	@scripts/need redis-server nginx apache2 mod_auth_openidc wrk curl
	$(RUN)/python -m bench --write

# Builds the images and runs docker-compose.yml on a real engine: DOCKER_HOST says which one.
test-containers: $(VENV)/.dev
	@scripts/need chromium
	$(RUN)/pytest -m containers tests/containers

check: $(VENV)/.dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

# All locks are written by one command; `--universal` makes them good for every platform and Python from 3.11.
# The second is the first and what `okta-bff[otel]` needs more: the same versions, by `--constraints`.
COMPILE := $(RUN)/uv pip compile $(UPGRADE) --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml
lock: $(VENV)/.dev
	$(RUN)/pip install --quiet uv
	$(COMPILE) -o requirements.lock
	$(COMPILE) --constraints requirements.lock --extra otel -o requirements-otel.lock
	$(COMPILE) --constraints requirements-otel.lock --extra otel --group dev -o requirements-dev.lock

# What the image holds, as CycloneDX JSON: every package of the lock with its hashes, below this version of ours.
# Takes `LOCK=requirements-otel.lock` too.
LOCK ?= requirements.lock
sbom: $(VENV)/.dev
	$(RUN)/pip install --quiet uv
	$(RUN)/python scripts/sbom.py $(RUN)/uv $(LOCK) > sbom.cdx.json
	@echo "sbom.cdx.json: CycloneDX, from $(LOCK)"

# Known vulnerabilities in the locks. Asks a vulnerability service, so it is no part of `make test`: without an answer it
# fails, since silence is no good news.
audit: $(VENV)/.dev
	$(RUN)/pip install --quiet uv
	scripts/audit $(RUN)/uv requirements-dev.lock

$(VENV)/bin/python:
	@scripts/need python-venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock | $(VENV)/bin/python
	$(RUN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(RUN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(RUN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.runtime

clean:
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
