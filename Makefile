# Needs make and Python 3.11 or newer; everything else comes with the Python packages.

PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
RUN := .venv/bin/python
JOBS ?= 3

# One stamp file per set of requirements, named by their checksum, so a change reinstalls them.
stamp = .venv/.$(1)-$(shell cksum < requirements/$(1).txt | tr -s ' \t' -)
BASE := $(call stamp,base)
TEST := $(call stamp,test)
DEV := $(call stamp,dev)

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test test-browser test-edge test-pgbouncer test-clients attack drill soak screenshots messages contracts audit sbom lint format fuzz bench restore-drill shell lock

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  -  \2/p' Makefile

install: $(BASE)  ## the virtualenv .venv with the pinned requirements; does nothing if it is current

install-dev: $(DEV)  ## the same, with the tools for tests, lint and types

.venv/.base-% .venv/.test-% .venv/.dev-%:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found: make PYTHON=/path/to/python"; exit 1; }
	@$(RUN) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { \
		echo "Python's venv module is missing (Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@# --no-deps: the list is complete, and an older pip would search beyond it for extras (coverage[toml]).
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
		-r requirements/$(word 1,$(subst ., ,$(subst -, ,$(notdir $@)))).txt
	@rm -f $(firstword $(subst -, ,$@))-* && touch $@

demo: $(BASE)  ## a city that orders and flies; Ctrl-C stops it
	@$(RUN) manage.py demo

NOT_IN_TEST = browser or edge or clients or bench or fuzz or screenshots$(shell command -v curl > /dev/null || echo ' or curl')

test: $(TEST)  ## all tests, in parallel (JOBS=3), on throwaway servers of their own
	@! grep -rqs 'pytest.mark.browser' --include='test_*.py' . --exclude-dir=.venv \
		|| echo 'Not run here: tests marked "browser", which need Chromium.'
	@command -v curl > /dev/null || echo 'Not run here: the commands of docs/api.md, which need curl.'
	$(RUN) -m pytest -n $(JOBS) --dist worksteal -m 'not ($(NOT_IN_TEST))'

CHROMIUM ?= /usr/bin/chromium
export CHROMIUM

test-browser: $(TEST)  ## tests in a real Chromium (CHROMIUM=/usr/bin/chromium)
	@if test -x "$(CHROMIUM)"; then $(RUN) -m pytest -n 0 -m browser; \
		else echo 'Skipped: the tests marked "browser" need Chromium (apt install chromium).'; fi

test-edge: $(TEST)  ## slow clients and forged headers, through the proxy of compose.yaml (needs Caddy)
	@if command -v caddy > /dev/null; then $(RUN) -m pytest -n 0 -m edge; \
		else echo 'Skipped: the tests marked "edge" need Caddy (apt install caddy).'; fi

# The tests of what would break if two statements of one process had different connections.
BEHIND_PGBOUNCER = dispatch/tests/test_follower.py dispatch/tests/test_partitions.py dispatch/tests/test_progress.py \
	dispatch/tests/test_publishing_pause.py dispatch/tests/test_run_races.py orders/tests/test_lifecycle_races.py \
	tracking/tests/test_merchant_export.py wingxtra/tests/test_api_idempotency.py wingxtra/tests/test_broker.py \
	wingxtra/tests/test_pgbouncer.py

test-pgbouncer: $(TEST)  ## races, broker, idempotency, progress through a PgBouncer in transaction mode
	@if test -x /usr/sbin/pgbouncer; then \
		THROUGH_PGBOUNCER=1 $(RUN) -m pytest -n $(JOBS) --dist worksteal --reuse-db $(BEHIND_PGBOUNCER); \
		else echo 'Skipped: it needs PgBouncer (apt install pgbouncer).'; fi

test-clients: $(TEST)  ## clients of the API by code generators, and linters, where PyPI and npm are reachable
	@$(RUN) -m wingxtra.tests.clients

DRILL_MINUTES ?= 3
SOAK_MINUTES ?= 5
SOAK_RATE ?= 1

attack: $(TEST)  ## the tries of an attacker against a production-mode stack (needs Caddy for some)
	@$(RUN) -m wingxtra.tests.attack

drill: $(TEST)  ## faults of all kinds at once, and their resolution (DRILL_MINUTES=3, DRILL_SEED=a number)
	@$(RUN) -m wingxtra.tests.drill --minutes $(DRILL_MINUTES) $(if $(DRILL_SEED),--seed $(DRILL_SEED))

soak: $(TEST)  ## a steady load without faults: memory, queues, tables (SOAK_MINUTES=5, SOAK_RATE=1 orders a second)
	@$(RUN) -m wingxtra.tests.soak --minutes $(SOAK_MINUTES) --rate $(SOAK_RATE)

screenshots: $(TEST)  ## take the pictures of docs/images/ again, with Chromium
	$(RUN) -m pytest -n 0 -q -m screenshots

messages: $(BASE)  ## collect and compile the translations of customers' texts (needs gettext)
	cd tracking && ../$(RUN) ../manage.py makemessages --all --no-location --no-obsolete --no-wrap
	cd tracking && ../$(RUN) ../manage.py compilemessages

contracts: $(BASE)  ## generate docs/contracts/ from the types of the code
	@$(RUN) manage.py contracts

audit: $(TEST)  ## known vulnerabilities of the pinned packages; says so where no source of them answers
	@$(RUN) -m wingxtra.tests.audit

sbom: $(TEST)  ## the list of production packages with versions and hashes, as CycloneDX, in .local/sbom.cdx.json
	@mkdir -p .local
	@$(RUN) -W ignore::UserWarning -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file .local/sbom.cdx.json requirements/base.txt
	@echo 'Written: .local/sbom.cdx.json'

fuzz: $(TEST)  ## random calls as each role, and random forms of the merchants' page (FUZZ_SECONDS=120 each)
	$(RUN) -m pytest -n 0 -m fuzz -s

bench: $(TEST)  ## benchmarks: API and console (BENCH_SECONDS=2, BENCH_ORDERS=1000000), open pages (BENCH_PAGES=1000), dispatch and days
	@$(RUN) -m wingxtra.tests.bench

lint: $(DEV)  ## ruff, types, import layers, templates, Dockerfile, compose.yaml
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy .
	$(RUN) -c 'import sys; from importlinter.cli import lint_imports_command; lint_imports_command()'
	$(RUN) -m djlint --lint --quiet templates
	.venv/bin/hadolint Dockerfile
	@ALLOWED_HOSTS=x PUBLIC_BASE_URL=https://x FLEET_API_URL=https://x GCS_BRIDGE_URL=https://x \
		.venv/bin/docker-compose --profile simulator config --quiet && echo 'compose.yaml is valid.'

format: $(DEV)  ## format the code for lint
	$(RUN) -m ruff check --fix-only .
	$(RUN) -m ruff format .

restore-drill: $(BASE)  ## dump the database, restore it beside itself, and compare every table
	@$(RUN) manage.py restore_drill

shell: $(BASE)  ## Django's shell
	@$(RUN) manage.py shell

lock: $(DEV)  ## pin requirements/*.in into *.txt, with hashes
	for set in requirements/base requirements/test requirements/dev wingxtra/tests/clients/tools; do \
		(cd $$(dirname $$set) && $(CURDIR)/$(RUN) -m uv pip compile --quiet --generate-hashes --python-version 3.11 \
			--universal $${set##*/}.in -o $${set##*/}.txt) || exit 1; done
