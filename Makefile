# Answerline. `make` alone prints what it can do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
# As Lambda finds the application's packages, and the runner the wire.
export PYTHONPATH := .:chalice_app:chalice_app/vendor
# The order of a set is part of a history: the seed alone is to bring it back.
export PYTHONHASHSEED := 0
PACKAGES := chalice_app runner infrastructure tests
FILE ?=

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: install ## run everything on this machine (WHATSAPP=real OPENAI=real BASE_URL=https://… SMTP_URL=… MAIL_FROM=… PORTS=… DATA=… OPENAI_SERVERS=…)
	@exec $(BIN)/python -m infrastructure.local

SERVICE = $(BIN)/python -m infrastructure.local.service
# A checkout's owner installs; root, with sudo, only where it is the owner.
IF_MINE = test "$$(stat -c %u .)" != "$$(id -u)" || $(MAKE) $(1); \
  test -x $(BIN)/python || { echo "Nothing is installed: run 'make install' as $$(stat -c %U .) first."; exit 1; }

.PHONY: service service-remove caddyfile upgrade
service: ## install Answerline as a service of systemd, or change its settings, and start it (the settings of up)
	@$(call IF_MINE,install)
	@$(SERVICE) install

service-remove: ## stop and remove the service; settings and data stay
	@$(SERVICE) remove

caddyfile: ## print the Caddyfile for BASE_URL: TLS in front of the service (BASE_URL=…, PORTS=…)
	@$(SERVICE) caddyfile

upgrade: ## bring the checked-out release to the service, or go back to the former one if `make doctor` is not content
	@$(SERVICE) upgrade

.PHONY: check
check: python ## ruff, mypy and unit tests; run it before each commit
	@$(MAKE) --jobs 3 --output-sync=target lint types unit

.PHONY: test
test: install lint types ## run every test but peers, chaos, kills, the rehearsals and the long simulation; run it before handing over
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 8 --require-tools tests

.PHONY: story
story: install ## run the whole story with real browsers: create, mail, scan, answer (ARGS="--pictures docs/pictures")
	@$(BIN)/python -m tests.story $(ARGS)

TAG ?= answerline-runner
IMAGE ?= $(TAG)

.PHONY: image
image: python ## build the runner's image with docker, podman or buildah (TAG=…, ARCHITECTURE=arm64, FRESH=1, MORE="--build-arg …")
	@$(BIN)/python -m infrastructure.packaging.image --tag "$(TAG)" $(if $(ARCHITECTURE),--architecture $(ARCHITECTURE)) \
	  $(if $(FRESH),--fresh) $(if $(MORE),--more="$(MORE)")

.PHONY: story-in-container
story-in-container: install ## run the story with the runner in a container, started as on ECS (IMAGE=…)
	@$(BIN)/python -m tests.story --runner-image "$(IMAGE)"

REHEARSING = $(BIN)/python -m tests.rehearsal

.PHONY: rehearse
rehearse: install .make/rehearsal ## deploy package and template into a simulated AWS with every permission enforced, and run the story there
	@$(REHEARSING)

.PHONY: rehearse-upgrade
rehearse-upgrade: install .make/rehearsal ## upgrade and roll back there while contacts write; half an hour (FROM=<commit> starts from that release)
	@$(REHEARSING) upgrade $(FROM)

.PHONY: rehearse-service
rehearse-service: install ## upgrade a service in a scratch clone with a simulated line, and run what compose.yaml starts, as processes
	@$(BIN)/python -m pytest --require-tools tests/contract/service_upgrade.py tests/contract/compose_parts.py

.PHONY: peers
peers: install ## let two unmodified peer libraries pair and reply on our WhatsApp simulator
	@cd tests/peers && PUPPETEER_SKIP_DOWNLOAD=1 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(BIN)/python -m tests.peers

SEEDS ?= 5000
MINUTES ?= 10

.PHONY: simulate
simulate: python ## simulate seeded crashes, freezes and partitions in virtual time (SEEDS=5000); resumes where it stopped
	@$(BIN)/python -m pytest tests/simulation/notice_mutations.py
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

.PHONY: mutate
mutate: python ## remove each condition of the stores and the journal, and name the test that finds it (ARGS="slots.py turns.py"); resumes
	@$(BIN)/python -m tests.mutation $(ARGS)

.PHONY: chaos
chaos: install ## inject a fault into real processes about every six seconds (MINUTES=10, SEED=…), and print a verdict
	@$(BIN)/python -m pytest --require-tools tests/chaos/outage.py
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

KILLS ?= 50

.PHONY: kills
kills: install ## kill everything on one machine with -9 at random moments under load, and count what was lost (KILLS=50); resumes
	@$(BIN)/python -m tests.chaos.kills --kills $(KILLS)

SCHEMA ?=

.PHONY: openai-schema
openai-schema: python ## check the OpenAI simulator and our requests against OpenAI's description (SCHEMA=openapi.json)
	@$(BIN)/python -m tests.openai_schema "$(SCHEMA)"

.PHONY: bench
bench: install ## measure formatting of hostile texts, doors, a storm of starting pages and snapshots, each beside a calibration
	@$(BIN)/python -m tests.bench.formatting
	@$(BIN)/python -m tests.bench.doors
	@$(BIN)/python -m tests.bench.storm
	@$(BIN)/python -m tests.bench.snapshots

.PHONY: bench-logins
bench-logins: install ## restore 20 logins from snapshots of busy browsers; all must come online (two minutes)
	@$(BIN)/python -m tests.bench.restored_logins

.PHONY: soak
soak: install ## measure the stores and the control plane with a month of 5, 20 and 50 clients; an hour (ARGS="5 20"); resumes
	@$(BIN)/python -m tests.soak $(ARGS)

.PHONY: scale
scale: install ## count reads and writes of 2,000 tenants on 250 runners without browsers, and lose half of them (a quarter of an hour); resumes
	@$(BIN)/python -m tests.soak.scale $(ARGS)

VERSION ?= latest
ARGS ?=

UV := 0.13.9

.PHONY: lock
lock: ## pin runner/requirements.txt into the image's runner/requirements.lock, with hashes
	@test -x .venv-lock/bin/uv || $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@.venv-lock/bin/uv pip compile runner/requirements.txt --output-file runner/requirements.lock --quiet \
	  --python-platform linux --python-version 3.13 --only-binary :all: --generate-hashes --no-header --no-annotate

.PHONY: update-wa-js
update-wa-js: install ## test the newest wa-js against the contract, and take it only if everything passes (VERSION=…)
	@$(BIN)/python -m tests.update_wa_js --to "$(VERSION)"

.PHONY: live-check
live-check: install ## guide a check with a real account and two phones (ARGS="--rehearse", ARGS="--steps 1,4,8")
	@$(BIN)/python -m tests.live $(ARGS)

.PHONY: cost
cost: python ## estimate the monthly costs on AWS, with all assumptions (ARGS="--tenants 20 --messages-per-day 200", ARGS=--prices)
	@$(BIN)/python -m infrastructure.cost $(ARGS)

.PHONY: package
package: python ## build and check the template and the zip for AWS in build/package (ARCHITECTURE=arm64|x86_64)
	@$(BIN)/python -m infrastructure.packaging.package build/package $(if $(ARCHITECTURE),--architecture $(ARCHITECTURE))
	@$(BIN)/cfn-lint build/package/template.yaml && echo "cfn-lint: clean"

DEPLOYING = $(BIN)/python -m

.PHONY: deploy
deploy: python ## AWS: create or update a stage (STAGE=prod MAIL_FROM=… OPERATORS_EMAIL=… DOMAIN=… YES=1 …)
	@$(DEPLOYING) infrastructure.deploying deploy

.PHONY: rollback
rollback: python ## AWS: deploy an earlier release again (STAGE=… TO=<commit>; without TO it lists them)
	@$(DEPLOYING) infrastructure.deploying rollback

.PHONY: rotate-token
rotate-token: python ## AWS: replace the runners' bootstrap token (STAGE=…); running runners are not disturbed
	@$(DEPLOYING) infrastructure.deploying rotate-token

.PHONY: destroy
destroy: python ## AWS: delete a stage and keep its data (STAGE=…; DATA=delete deletes that too)
	@$(DEPLOYING) infrastructure.deploying destroy

.PHONY: doctor
doctor: ## check the health of this machine's installation (DATA=…), or of a stage on AWS (STAGE=…); TRY_WEBHOOK=1 posts a test message
	@$(call IF_MINE,python)
	@$(DEPLOYING) infrastructure.doctor

.PHONY: backup
backup: ## save the data of this machine, sealed, in one file or beside the nightly ones (FILE=… or BACKUP_TO=…, DATA=…)
	@$(call IF_MINE,python)
	@$(BIN)/python -m infrastructure.local backup "$(FILE)"

.PHONY: backup-key
backup-key: ## make the key of the backups and show its secret half once (REPLACE=1, DATA=…)
	@$(call IF_MINE,python)
	@$(BIN)/python -m infrastructure.local backup-key "$(REPLACE)"

.PHONY: restore
restore: ## check a backup on a copy, then put it in place of the data (FROM=<file or place> KEY=<file>, DATA=…, LEDGER=…)
	@$(call IF_MINE,install)
	@$(BIN)/python -m infrastructure.local restore "$(or $(FROM),$(FILE))" "$(KEY)" "$(LEDGER)"

.PHONY: rehearse-restore
rehearse-restore: install ## back up while contacts write, lose the machine, restore: the lines come online without a code (two minutes)
	@$(BIN)/python -m pytest --require-tools tests/contract/restored_lines.py

.PHONY: forget
forget: ## delete a client for good, also from what backups bring back (TENANT=<id>, DATA=…)
	@$(call IF_MINE,install)
	@$(BIN)/python -m infrastructure.local forget "$(TENANT)"

.PHONY: export
export: ## write the table of this machine into a file of plain items (FILE=…, DATA=…)
	@$(call IF_MINE,python)
	@$(BIN)/python -m infrastructure.local export "$(FILE)"

.PHONY: import
import: ## read such a file into an empty table (FILE=…, DATA=…)
	@$(call IF_MINE,python)
	@$(BIN)/python -m infrastructure.local import "$(FILE)"

.PHONY: clean
clean: ## remove everything that was installed and built; data stays
	rm -rf .make .venv .venv-ministack .venv-package .venv-lock build runner/node_modules infrastructure/local/table/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

# -- the parts of install, each done once until its list changes -------------------------------------------------------

.PHONY: install python
install: python .make/ministack .make/wa-js .make/table chromium ## install everything that is missing: Python packages, MiniStack, dynoxide, wa-js, Chromium
python: .make/python

.make/python: requirements.txt infrastructure/local/requirements.txt chalice_app/requirements.txt runner/requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed (make PYTHON=python3.12 …)."; exit 1; }
	@echo "installing Python packages into .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt | sed -u '/^Requirement already satisfied/d' \
	  || { echo "The Python packages could not be installed: is there a network? The lines above say more."; exit 1; }
	@mkdir -p .make && touch $@

.make/ministack: infrastructure/local/ministack.txt
	@echo "installing MiniStack into .venv-ministack …"
	@test -x .venv-ministack/bin/python || $(PYTHON) -m venv .venv-ministack
	@.venv-ministack/bin/python -m pip install --disable-pip-version-check -r infrastructure/local/ministack.txt | sed -u '/^Requirement already satisfied/d' \
	  || { echo "MiniStack could not be installed: is there a network? The lines above say more."; exit 1; }
	@mkdir -p .make && touch $@

.make/rehearsal: tests/rehearsal/requirements.txt .make/ministack
	@.venv-ministack/bin/python -m pip install --disable-pip-version-check -r $< | sed -u '/^Requirement already satisfied/d' \
	  || { echo "The rehearsal's packages could not be installed: is there a network? The lines above say more."; exit 1; }
	@mkdir -p .make && touch $@

# A program and its version: `make` asks each of them before it asks the network.
NODE = { command -v npm >/dev/null || { echo "There is no npm: install Node 20 or newer (it fetches $(1))."; exit 1; }; \
  ! command -v node >/dev/null || node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' \
  || { echo "Node $$(node --version) is too old: Node 20 or newer is needed (it fetches $(1)). Debian 12 has 18; newer" \
    "packages are at https://github.com/nodesource/distributions, and archives at https://nodejs.org/en/download."; exit 1; }; }

.make/wa-js: runner/package.json runner/package-lock.json
	@$(call NODE,wa-js)
	@echo "installing wa-js into runner/node_modules …"
	@cd runner && npm ci --no-audit --no-fund --loglevel=error \
	  || { echo "wa-js could not be installed: is there a network? The lines above say more."; exit 1; }
	@mkdir -p .make && touch $@

# npm installs the package of this kind of machine, if there is one; `make up` says how to get another.
.make/table: infrastructure/local/table/package.json infrastructure/local/table/package-lock.json
	@$(call NODE,dynoxide)
	@echo "installing dynoxide into infrastructure/local/table/node_modules …"
	@cd infrastructure/local/table && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
	  || { echo "dynoxide could not be installed: is there a network? The lines above say more."; exit 1; }
	@mkdir -p .make && touch $@

# Debian's package where we may install it, else Playwright's own download.
.PHONY: chromium
chromium: .make/python
	@if [ -n "$${CHROMIUM:-}" ] || command -v chromium-headless-shell chromium >/dev/null; then exit 0; fi; \
	if compgen -G "$${PLAYWRIGHT_BROWSERS_PATH:-$$HOME/.cache/ms-playwright}/chromium*" >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Chromium with apt …"; \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium-headless-shell; } && exit 0; \
	else \
	  echo "fetching Playwright's Chromium …"; \
	  $(BIN)/python -m playwright install --only-shell chromium && exit 0; \
	fi; \
	echo "Chromium could not be installed: run 'apt-get install chromium-headless-shell' (or 'chromium'), or give its path with CHROMIUM=…"; \
	exit 1

# -- the parts of check ------------------------------------------------------------------------------------------------

.PHONY: lint types unit
unit: python
	@$(BIN)/python -m pytest -n 2 -m "not thorough" tests/unit tests/test_architecture.py
lint: python
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
types: python
	@$(BIN)/mypy $(PACKAGES)
