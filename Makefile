# The tasks of a user and of a developer; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup up down purge check test test-docker test-kubernetes bench soak lock

STACK ?= dev
BIN := .venv/bin
IN := . .keelson/path &&

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 13

setup: ## make this machine ready: host packages, Python environment, private Debian root, pgAdmin, Pulumi engine
	@tools/setup

up: setup ## everything from nothing to a running stack (STACK=dev)
	@$(IN) keelson up -s $(STACK) --yes

down: setup ## take the stack down; backups stay
	@$(IN) keelson destroy -s $(STACK) --yes

purge: setup ## take the stack down and remove all that it left, backups too
	@$(IN) keelson destroy -s $(STACK) --yes && python -m tools.purge $(STACK)

check: setup ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: setup ## the tests, on real servers; CI=1 runs the thorough ones too (ARGS='-k name' picks some)
	@tools/setup browser docker $(if $(CI),kubernetes storage)
	@$(IN) pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-docker: setup ## all tests of whole stacks on a Docker daemon, and of the equipment for that
	@tools/setup browser docker
	@$(IN) pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not soak and not kubernetes' --target docker tests/stack tests/plugins tests/test_daemon.py $(ARGS)

test-kubernetes: setup ## all tests of stacks in a Kubernetes cluster, which is made for them
	@tools/setup docker kubernetes
	@tools/cluster build
	@$(IN) CI=1 pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'kubernetes and not soak' $(ARGS)

bench: setup ## the side-by-side benchmarks
	@$(IN) python -m bench.stack
	@$(IN) python -m bench.docker
	@$(IN) python -m bench.migrations
	@$(IN) python -m bench.backups
	@$(IN) python -m bench.audit

soak: setup ## long fault runs
	@$(IN) pytest -n 0 -m soak $(ARGS)

lock: setup ## pin all Python packages, with hashes
	@tools/setup lock
