# What a developer and CI run: set-up, demo and tests.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-lab demo docs walk test test-docs test-unit test-simulation test-semantics test-awx test-events lint sanity matrix sanity-all test-unit-all test-semantics-all test-playbooks-all molecule test-build test-integration test-vendor-packages test-rollout simulate fuzz endurance test-selftests bench-scale bench-ssh clean model

PYTHON := .venv/bin/python
TOOL := python3 tests/tools
PYTEST_ARGS ?=

# The commands of the environment come first, so that ansible-lint finds its own ansible.
IN_VENV := PATH="$(CURDIR)/.venv/bin:$$PATH"

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-18s %s\n' "$$name" "$$text"; done

setup: ## Install what is missing (named first) and make the Python environment .venv
	@sh tests/tools/prerequisites.sh
	@directory=$$($(TOOL)/venvs.py current) && { [ "$$(readlink .venv)" = "$$directory" ] || ln -sfn "$$directory" .venv; }
	@python3 tests/tools/collection.py link
	@[ -z "$(filter setup,$(MAKECMDGOALS))" ] || echo 'Ansible is in .venv/bin: export PATH="$(CURDIR)/.venv/bin:$$PATH"'

setup-lab: setup
	@python3 -m tests.lab prerequisites --install

demo: setup-lab ## Boot a small fleet of real kernels and roll a livepatch out to it
	@$(PYTHON) -m tests.lab.demo

docs: setup ## Build all pages and the reference as one site: .work/site/index.html
	@$(TOOL)/site.py

walk: setup-lab ## Type what the pages show on a fleet of real kernels, all of it; `make test` types the shorter part
	@WALK=long $(PYTHON) -m pytest tests/rollout/test_first_rollout.py $(PYTEST_ARGS)

# What boots guests often waits; what does not has the processors meanwhile. What uses both of them comes last: when the
# guests are gone, it has both.
test: setup-lab ## Run everything that CI runs
	@$(TOOL)/beside.py $(MAKE) --no-print-directory lint test-build test-docs test-simulation test-awx sanity test-semantics -- $(MAKE) --no-print-directory test-unit test-integration test-rollout
	@echo "All tests passed."

test-unit: setup ## Unit tests: newest and oldest ansible-core, and Python 3.6 for what runs on targets
	@$(TOOL)/environments.py unit current oldest target -- $(PYTEST_ARGS)

test-simulation: setup ## Small simulated fleets: the gate passes good livepatches and stops bad ones early; what a rollout costs is measured
	@$(PYTHON) -m pytest tests/simulation tests/bench $(PYTEST_ARGS)

test-semantics: setup ## The behaviour of Ansible that the playbooks rely on, on the newest and the oldest ansible-core
	@$(TOOL)/environments.py semantics current oldest -- $(PYTEST_ARGS)

test-awx: setup ## The playbook that sets up AWX, with its real modules against a server that answers like the API
	@$(PYTHON) -m pytest tests/awx $(PYTEST_ARGS)

lint: setup ## ansible-lint (profile production), the changelog, and the licences of all files
	@$(IN_VENV) ANSIBLE_COLLECTIONS_PATH=.work/collections ansible-lint --offline --profile production
	@$(IN_VENV) antsibull-changelog lint
	@$(IN_VENV) reuse lint --lines

sanity: setup ## ansible-test sanity with the newest ansible-core, and with the oldest of all but the tests
	@sh tests/tools/prerequisites.sh sanity
	@$(TOOL)/sanity.py oldest current

CORES ?= all
matrix: sanity-all test-unit-all test-semantics-all test-playbooks-all ## Sanity, tests and playbooks on every supported ansible-core (CORES="2.18 2.22")

sanity-all: setup
	@sh tests/tools/prerequisites.sh sanity
	@$(TOOL)/sanity.py $(CORES)

test-unit-all: setup
	@$(TOOL)/environments.py unit $(CORES) -- $(PYTEST_ARGS)

test-semantics-all: setup
	@$(TOOL)/environments.py semantics $(CORES) -- $(PYTEST_ARGS)

test-playbooks-all: setup
	@$(TOOL)/environments.py playbooks $(CORES) -- $(PYTEST_ARGS)

test-build: setup ## Build the collection, check it as the hubs do, and run it in an execution environment
	@$(TOOL)/build.py

test-docs: docs ## The site builds without warnings, its links lead somewhere, and what the pages show works
	@$(PYTHON) -m pytest tests/docs $(PYTEST_ARGS)

test-integration: setup-lab ## Modules and roles against real kernels, two fleets side by side
	@$(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10 -m "not vendor_packages" tests/integration $(PYTEST_ARGS)

test-vendor-packages: setup-lab ## Packages that act as vendors' do, all of them, on a guest with systemd (CI goes RHEL's way only)
	@$(PYTHON) -m pytest --durations=10 tests/integration/test_vendor_packages.py $(PYTEST_ARGS)

# Rollouts wait much, for soaks and for hosts that are lost: a third fleet has the processors meanwhile.
test-rollout: setup-lab ## Whole rollouts on real kernels, three fleets side by side, and evidence from a real Prometheus
	@$(PYTHON) -m pytest -n 3 --dist load --maxschedchunk 1 --durations=10 tests/rollout --ignore-glob "*/test_ansible_*" $(PYTEST_ARGS)

test-events: setup-lab ## Alerts of a real Alertmanager halt a rollout on real kernels, through the rulebooks (installs Java)
	@python3 -m tests.lab prerequisites --install --events
	@$(PYTHON) -m pytest --durations=10 tests/events $(PYTEST_ARGS)

simulate: setup ## Simulated fleets of 1K to 1M hosts: the tables of docs/health-gate.md, in about a quarter of an hour
	@$(PYTHON) -m tests.simulation --jobs 2 --hosts 1000,10000,100000,1000000 --runs 300,300,30,3 --cost 1000000 --output tables.md

RUNS ?= 20000
model: setup ## Random rollouts on fleets whose true state is known, and what must hold in each (RUNS=20000 SEED=1)
	@$(PYTHON) -m tests.model --jobs 2 --runs $(RUNS) --seed $(or $(SEED),1)

SCENARIO ?= --all
molecule: setup-lab ## The scenarios of molecule, on guests of the lab (SCENARIO="-s rollout")
	@$(IN_VENV) molecule test $(SCENARIO)

SECONDS_IN_ALL ?= 300
fuzz: setup ## Coverage-guided fuzzing of what parses foreign bytes on targets (SECONDS_IN_ALL=300)
	@$(PYTHON) -m tests.fuzz --seconds $(SECONDS_IN_ALL)

ROUNDS ?= 300
endurance: setup-lab ## Replace livepatches many times on busy guests of each kernel: docs/endurance.md (ROUNDS=300)
	@$(PYTHON) -m tests.endurance --rounds $(ROUNDS) --output docs

ONLY ?=
test-selftests: setup-lab ## The kernel's own livepatch selftests through the modules, on each kernel: docs/selftests.md (ONLY=callbacks)
	@$(PYTHON) -m tests.selftests --only "$(ONLY)" --output docs/selftests.md

HOSTS ?= 10000
BENCH ?=
bench-scale: setup ## What a rollout costs the controller, on hosts that cost nothing (HOSTS=10000 BENCH="--silent 30", or BENCH=--micro)
	@$(PYTHON) -m tests.bench.scale --hosts $(HOSTS) $(BENCH)

bench-ssh: setup-lab ## What a rollout costs over ssh on real kernels, beside a playbook by hand (BENCH="--hosts 4 --rounds 2")
	@$(PYTHON) -m tests.bench.ssh $(BENCH)

clean: ## Remove what was built in this checkout (the caches in the home directory stay)
	rm -rf .venv .work .pytest_cache .hypothesis .ansible tests/output dist

-include tests/lab/lab.mk
