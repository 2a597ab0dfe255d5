# The lab's targets, for the top Makefile.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

.PHONY: lab-up lab-down lab-status lab-build lab-clean

HOSTS ?= 4
KERNELS ?= 5.10 6.1
MEMORY ?= 384
LAB := python3 -m tests.lab

lab-up: ## Boot a fleet of real kernels and write inventories/lab/ (default HOSTS=4 KERNELS="5.10 6.1"; also 6.12 and 7.2)
	@$(LAB) up --hosts "$(HOSTS)" --kernels "$(KERNELS)" --memory "$(MEMORY)"

lab-down: ## End the fleet that lab-up started
	@$(LAB) down

lab-status: ## Show the running fleet: guest, kernel, state, ssh port, uptime
	@$(LAB) status

lab-build: ## Build what the guests need (KERNELS=...), without booting any
	@$(LAB) build --kernels "$(KERNELS)"

lab-clean: ## Delete everything the lab has built and cached
	@$(LAB) clean
