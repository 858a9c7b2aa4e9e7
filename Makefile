# Every daily task. `make` lists them; each is one line here and a script or a command elsewhere.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up down ps logs status build deploy rollback releases diff watch location location-remove user user-remove sso-secret secrets-rotate audit sbom dev test soak bench check lint format reset engine base-images

UV := deploy/tools/uv
CTL := deploy/stackctl

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Build and start the stack with Docker, wait until it is healthy, show what it serves
	@$(CTL)/up

down: ## Stop the stack and end its runs; data stays
	@$(CTL)/down

ps: ## Services, their state and health, and run containers
	@$(CTL)/ps

logs: ## Follow the logs: all, or of one service with SERVICE=daemon
	@docker compose logs --follow --tail=100 $(SERVICE)

status: ## Code locations with image and load state, schedules with their next tick
	@$(CTL)/status

build: ## Build the images; only what changed is built anew
	@$(CTL)/build

deploy: ## Ship one location: LOCATION=elt, from this checkout or IMAGE=registry/name@sha256:...
	@$(CTL)/stackctl deploy $(LOCATION) $(if $(IMAGE),--image=$(IMAGE))

rollback: ## Go back to the release before, each time one further, or TO=release: LOCATION=elt
	@$(CTL)/stackctl rollback $(LOCATION) $(if $(TO),--to=$(TO))

releases: ## List the releases that are kept: all, or of LOCATION=elt
	@$(CTL)/stackctl releases $(LOCATION)

diff: ## Show what a deploy would change in definitions: LOCATION=elt
	@$(CTL)/stackctl diff $(LOCATION) $(if $(IMAGE),--image=$(IMAGE))

watch: ## Ship a location whenever a file of it changes: all, or LOCATION=elt
	@$(CTL)/stackctl watch $(LOCATION)

# A name reaches the shell as a variable: whatever is in it, nothing of it is run.
location: ## Add a code location, live where the stack runs: NAME=marketing; LOADER=1: one that loads files
	@$(CTL)/stackctl location add --loader="$${LOADER-}" -- "$${NAME-}"

location-remove: ## Remove one: NAME=marketing, with its data by DELETE_DATA=1
	@$(CTL)/stackctl location remove $(if $(DELETE_DATA),--delete-data) $(if $(YES),--yes) -- "$${NAME-}"

user: ## Let someone use the UI from elsewhere: NAME=alice ROLE=viewer or editor; asks for a password
	@$(CTL)/user add "$${NAME-}" "$${ROLE-}"

user-remove: ## Take that back: NAME=alice
	@$(CTL)/user remove "$${NAME-}"

sso-secret: ## Keep the client secret of single sign-on; asks for it
	@$(CTL)/user sso-secret

secrets-rotate: ## Make every password anew; runs that are under way end first, queued ones wait
	@$(CTL)/stackctl rotate-secrets $(if $(WAIT),--wait=$(WAIT))

dev: ## The same stack without Docker: needs Python 3.11 to 3.13, and nothing else
	@deploy/embedded/dev

test: ## Run all tests that this machine allows, and name what was skipped; of one location: LOCATION=elt
	@tests/run $(if $(LOCATION),location:$(LOCATION))

soak: ## What `make test` leaves out: the full form of its long proofs, and further cases
	@tests/soak

bench: ## Measure side by side: launches, shipping, loading files, loading definitions; each with its peers
	@bench/run launch_speed
	@bench/run ship_speed
	@bench/run load_speed --large 10000000
	@bench/run definitions_load

check: ## Load every code location's definitions, as `dg check defs` does
	@tests/check

audit: ## Look up all locked packages in a database of known vulnerabilities
	@tests/audit

sbom: ## Write what is in each image of ours, as CycloneDX, into sbom/
	@$(CTL)/stackctl sbom $(if $(IMAGE),--image=$(IMAGE))

lint: ## Check style, types and scripts
	@tests/lint

format: ## Format the Python code
	@tests/lint --fix

reset: ## Delete all data of the stack and of the embedded mode; asks first
	@$(CTL)/reset

engine: ## Debian, as root: install and start Docker Engine
	@.ci/engine

base-images: ## Build stand-ins for base images that cannot be pulled here
	@.ci/base-images
