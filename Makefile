# Start with `make demo` and `make test`; `make help` lists all targets. See CONTRIBUTING.md.
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

# With cached bytecode a process starts in half the CPU time, and each test worker need not rewrite every assertion.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo dev fmt images test test-unit test-containers test-providers test-assertions test-clients test-device-bound test-deploy test-servers chaos test-all coverage proof bench bench-gate bench-scale bench-cost bench-workers bench-assertions bench-security-events check lock openapi sbom audit release pin-images docs test-docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | sort | while IFS="$$(printf '\t')" read -r name text; do \
		printf '%-16s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.runtime ## run a simulated Okta, a sample API, an SPA and the BFF
	$(RUN)/python -m demo

dev: $(VENV)/.dev ## create .venv with the development tools, and install the hooks if pre-commit is installed
	@if command -v pre-commit >/dev/null && [ -e .git ]; then pre-commit install; fi

fmt: $(VENV)/.dev ## format the code and apply ruff's fixes
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

GUARDS_A_MERGE := not long and not containers and not providers and not assertions and not clients and not docs and not deploy and not device_bound and not servers
PARALLEL := -n 4 --dist loadgroup

# ARGS has arguments of pytest that select tests: `make test ARGS="tests/unit/oidc -k nonce"`. Without it `check` and all tests run.
test: $(VENV)/.dev ## run check and all tests, or the tests of ARGS=...
	@scripts/need redis-server chromium firefox-esr nginx caddy
ifdef ARGS
	$(RUN)/pytest -m "$(GUARDS_A_MERGE)" $(ARGS)
else
	@# One process compiles the tests for all workers, and sees that every attack case has a test; `check` has the other core.
	scripts/beside "make --no-print-directory check" '$(RUN)/pytest --collect-only -qqq --all-cases && $(RUN)/pytest -m "$(GUARDS_A_MERGE)" $(PARALLEL)'
endif

test-unit: $(VENV)/.dev ## run the unit tests, which take less than a minute
	$(RUN)/pytest tests/unit -m "not long" -n 2

# Every target that runs tests, the long ones last, also after one has failed. Takes hours.
test-all: $(VENV)/.dev ## run test, every other test-* target and proof
	@ran=; failed=; \
	for target in test $$(sed -n 's/^\(test-[a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)) | grep -vx -e test-unit -e test-all) proof; do \
		if $(MAKE) $$target; then ran="$$ran $$target"; else failed="$$failed $$target"; fi; \
	done; \
	echo "passed:$${ran:- none}; failed:$${failed:- none}"; test -z "$$failed"

# Also of the processes that the tests start. `make coverage ARGS=tests/unit` for a part. The lines and branches that no test
# reached are in var/coverage/report.txt.
coverage: $(VENV)/.dev ## run the tests and print their coverage of lines and branches
	rm -rf var/coverage && mkdir -p var/coverage
	COVERAGE_RCFILE=$(CURDIR)/pyproject.toml $(RUN)/coverage run -m pytest -m "$(GUARDS_A_MERGE)" $(or $(ARGS),$(PARALLEL))
	$(RUN)/coverage combine --quiet
	$(RUN)/coverage report --show-missing > var/coverage/report.txt
	@$(RUN)/coverage json --quiet -o var/coverage/totals.json
	@$(RUN)/python -c "import json; t = json.load(open('var/coverage/totals.json'))['totals']; \
	print(f'lines {100 * t[\"covered_lines\"] / t[\"num_statements\"]:.1f} %, branches {100 * t[\"covered_branches\"] / t[\"num_branches\"]:.1f} %')"

# `make proof ARGS="tests/proof/simulation"` runs some of them.
proof: $(VENV)/.dev ## run the long versions: thousands of races, hours of simulated faults, real-time outages
	@scripts/need redis-server chromium firefox-esr nginx caddy
	$(RUN)/pytest -m long $(ARGS)
	@# The properties once more, with examples that no other run has had.
	$(RUN)/pytest -m "$(GUARDS_A_MERGE)" --hypothesis-profile=new $$(git grep -l "^@given" tests)

OAUTH2_PROXY := 7.15.6
var/bench/oauth2-proxy: Makefile
	@scripts/need go
	GOBIN=$(CURDIR)/var/bench go install github.com/oauth2-proxy/oauth2-proxy/v7@v$(OAUTH2_PROXY)
	@touch $@

# Compares the BFF with other proxies; needs an idle machine with two cores, and 12 minutes. The first time it also builds
# oauth2-proxy, which takes some minutes.
bench: $(VENV)/.dev var/bench/oauth2-proxy ## measure, and write docs/performance.md
	@scripts/need redis-server nginx apache2 mod_auth_openidc wrk curl
	$(RUN)/python -m bench --write

# Five minutes. Instructions under valgrind do not depend on the machine's load or speed, so that a request which costs 3 % more
# is found on any machine with this Python. ARGS="--write" makes the new figures the committed ones.
bench-gate: $(VENV)/.dev ## count the instructions of a request, and compare them with bench/instructions.json
	@scripts/need redis-server nginx valgrind
	$(RUN)/python -m bench.gate $(ARGS)

# Half an hour on an idle machine with two cores, and at most ten minutes for each store and size once it is filled, with up to a
# million sessions: 10 GB of disk, or 6 GB of memory. It can be interrupted, and continues where it was
# (var/bench-scale/results.json). ARGS="--parts purge rewrap --store sqlite" measures some of it, with --again a second time.
bench-scale: $(VENV)/.dev ## measure with up to a million sessions, and write that part of docs/performance.md
	@scripts/need redis-server nginx wrk
	$(RUN)/python -m bench.scale --write $(ARGS)

# Bounded by numbers of requests, about fifteen minutes. Processor time and memory hold on a busy machine too.
bench-cost: $(VENV)/.dev ## measure the cost of a refresh, of a request by the number of busy sessions, and of an idle stream
	@scripts/need redis-server nginx wrk
	$(RUN)/python -m bench.refresh
	$(RUN)/python -m bench.busy
	$(RUN)/python -m bench.streams
	$(RUN)/python -m bench.connections
	$(RUN)/python -m bench.session_events --store sqlite redis --write

# Ten minutes. Processor time holds on a busy machine too, the rate does not.
bench-workers: $(VENV)/.dev ## measure the processor time of a request and the rate with one process and with two workers
	@scripts/need redis-server nginx wrk
	$(RUN)/python -m bench.workers

bench-assertions: $(VENV)/.dev ## measure the processor time of a request with an identity assertion
	@scripts/need redis-server nginx wrk
	$(RUN)/python -m bench.assertions

# A thousand events for each way of delivery, one every 20 ms; ten minutes.
bench-security-events: $(VENV)/.dev ## measure how soon a security event ends a session on every replica
	@scripts/need redis-server
	$(RUN)/python -m bench.security_events

# The version and the commit are in the tag and in the labels, so no build replaces an image that a roll-back needs. Deploy
# with the printed IMAGE_TAG in .env.
images: ## build the images, tagged with version and commit
	@version=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' bff/__init__.py); revision=$$(git rev-parse HEAD); \
	tag=$$version-$$(git rev-parse --short=12 HEAD)$$(git diff --quiet HEAD || echo -dirty); \
	VERSION=$$version REVISION=$$revision IMAGE_TAG=$$tag docker compose --profile demo build && echo "IMAGE_TAG=$$tag"

# Builds the images and runs docker-compose.yml on the Docker engine of DOCKER_HOST.
test-containers: $(VENV)/.dev ## build and run the images on a Docker engine
	@scripts/need chromium
	$(RUN)/pytest -m containers tests/proof/containers

# Each provider comes by its own package client into var/providers, once for each version; takes some minutes. A complete run writes
# the table of docs/interoperability.md.
test-providers: $(VENV)/.dev ## install OpenID providers that others wrote, and run the core journeys there
	@scripts/need redis-server nginx node npm java mvn go gcc
	$(RUN)/pytest -m providers $(or $(ARGS),tests/providers)

# Each library comes by its own package client into var/providers, once for each version.
test-assertions: $(VENV)/.dev ## verify identity assertions with libraries of other languages
	@scripts/need node npm go mvn
	$(RUN)/pytest -m assertions $(or $(ARGS),tests/proof/examples/test_identity_assertions.py)

# npm brings the tools of the package into var/clients, once for each version of the lock file.
test-clients: $(VENV)/.dev ## test the npm package and its templates, also in Chromium, Firefox and WebKitGTK
	@scripts/need node npm redis-server chromium firefox-esr WebKitWebDriver Xvfb
	$(RUN)/pytest -m clients $(or $(ARGS),tests/clients)

# Chromium 150 of Debian's archive is unpacked into var/device-bound, once: later versions bind sessions to a TPM only. Three minutes.
test-device-bound: $(VENV)/.dev ## test device-bound sessions in a Chromium that binds them to software keys
	@scripts/need chromium firefox-esr redis-server apt-get dpkg
	$(RUN)/pytest -m device_bound $(or $(ARGS),tests/device_bound)

# The site is whole: its pages load nothing from another host. From npm come the program that draws the diagrams, and TypeDoc.
docs: $(VENV)/.docs ## build the documentation site in var/website/site
	@scripts/need node npm
	for folder in website clients/js; do \
		[ $$folder/node_modules/.package-lock.json -nt $$folder/package-lock.json ] || (cd $$folder && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || exit 1; \
	done
	$(RUN)/python -m scripts.docs_site var/website
	cd clients/js && npx --no-install typedoc --out ../../var/website/docs/client-api
	$(RUN)/zensical build --strict --clean --config-file var/website/zensical.toml

test-docs: docs ## build the documentation site, and read it in a browser
	@scripts/need chromium
	$(RUN)/pytest -m docs $(or $(ARGS),tests/docs)

# Helm and schemas come by Go and pip into var/providers, once for each version; the first build of Helm takes minutes.
test-deploy: $(VENV)/.dev ## test the Helm chart, the systemd unit, Valkey, and the dry run of a release
	@scripts/need go node npm
	$(RUN)/pytest -m deploy $(or $(ARGS),tests/deploy)

# The example application, and the framing of requests, under uvicorn, hypercorn and granian as they are.
test-servers: $(VENV)/.dev ## run the application for FastAPI under servers that are not ours
	@scripts/need chromium
	$(RUN)/pytest -m servers $(or $(ARGS),tests/proof/servers)

# Needs the Docker engine of DOCKER_HOST and the ports 8080 and 9000; at most 15 minutes.
chaos: $(VENV)/.dev ## kill, stop and fill the parts of the compose file under load, and print what callers saw
	$(RUN)/python -m tests.proof.containers.chaos

check: $(VENV)/.dev ## lint, formatting, types, layers and dead code
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/mypy --config-file examples/fastapi-app/mypy.ini examples/fastapi-app
	$(RUN)/lint-imports
	$(RUN)/vulture

# One command writes all locks; `--universal` makes them valid for every platform and Python from 3.11.
# The second adds the dependencies of `okta-bff[otel]` to the first, in the same versions, by `--constraints`.
# The last one is for building the wheel; its packages have the versions of the third.
COMPILE := $(RUN)/uv pip compile $(UPGRADE) --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
lock: $(VENV)/.dev ## write the lock files
	$(RUN)/pip install --quiet uv
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --constraints requirements.lock --extra otel -o requirements-otel.lock
	$(COMPILE) pyproject.toml --constraints requirements-otel.lock --extra otel --group dev -o requirements-dev.lock
	$(COMPILE) --constraints requirements-dev.lock --group pyproject.toml:build -o requirements-build.lock
	$(COMPILE) --constraints requirements-dev.lock --group pyproject.toml:docs -o requirements-docs.lock
	$(COMPILE) --constraints requirements-dev.lock --group pyproject.toml:release -o requirements-release.lock

openapi: $(VENV)/.dev ## write docs/openapi.json, the OpenAPI document of the BFF's endpoints
	$(RUN)/python -m bff.admin.openapi docs/openapi.json

# The packages of the image as CycloneDX JSON. With IMAGE (`make sbom IMAGE=okta-bff:0.1.0`) it includes the Debian packages,
# and fails if the image has other Python packages. `LOCK=requirements-otel.lock` selects another lock file.
LOCK ?= requirements.lock
sbom: $(VENV)/.dev ## write sbom.cdx.json
	$(RUN)/pip install --quiet uv
	$(RUN)/python scripts/sbom.py $(RUN)/uv $(LOCK) $(IMAGE) > sbom.cdx.json
	@echo "sbom.cdx.json: CycloneDX, from $(LOCK)$(if $(IMAGE), and $(IMAGE))"

# Builds the wheel, the sdist, the SBOM, the npm package, the chart and their checksums into dist/VERSION, checks them, and prints the
# commands that publish them and the images; it publishes nothing. `make release RELEASE_URL=https://git.example.com/team/okta-bff`;
# with DRY_RUN=1 it reports what it would refuse, and goes on.
release: $(VENV)/.release ## build a release into dist; publishes nothing
	@RELEASE_URL="$(RELEASE_URL)" $(RUN)/python scripts/release.py $(if $(DRY_RUN),--dry-run)

# Pins the base images in docker-compose.yml and the Dockerfiles to their digests. Queries a registry with docker, skopeo or
# HTTP (REGISTRY=https://...); if any image cannot be resolved, it fails and writes nothing.
pin-images: ## write the digests of the base images (queries a registry)
	$(PYTHON) scripts/pin_images.py

# Reports known vulnerabilities in the lock files. It queries a vulnerability service, so it is not part of `make test`; it
# fails without a response.
audit: $(VENV)/.dev ## look for known vulnerabilities in the lock files
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

$(VENV)/.docs: requirements-docs.lock $(VENV)/.dev
	$(RUN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	@touch $@

$(VENV)/.release: requirements-release.lock $(VENV)/.dev
	$(RUN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-release.lock
	@touch $@

clean: ## remove .venv, caches and var
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
