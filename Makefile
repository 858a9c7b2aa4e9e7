# Every daily task. `make` lists them; each is one line here and a script or a command elsewhere.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up down ps logs status doctor psql retention-plan retention backup backups backup-repository backup-copies backup-fetch restore restore-rehearse upgrade upgrade-back build deploy rollback releases diff watch location location-remove alert-channel alert-channel-remove alert-test alerts-check user user-remove sso-secret secrets-rotate audit sbom helm-values bundle unbundle dev test soak bench check lint format docs reset engine base-images

UV := deploy/tools/uv
CTL := deploy/stackctl
# In the mode that runs in this checkout: $(TASK) NAME COMMAND, where COMMAND does it with Docker.
TASK := $(CTL)/task

# `## MODES Text` after a target: D with Docker, E in the embedded mode (make dev), - with neither.
help: ## - List the tasks
	@awk '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {name = $$0; sub(/:.*/, "", name); text = $$0; sub(/^[^#]*## /, "", text); \
			mode = text; sub(/ .*/, "", mode); sub(/^[^ ]* /, "", text); \
			printf "  \033[1m%-16s\033[0m %-2s  %s\n", name, mode, text} \
		END {print "\nD: with Docker (make up). E: in the embedded mode, without Docker (make dev)."}' $(MAKEFILE_LIST)

##@ Start and stop

up: ## D Build and start the stack with Docker, wait until it is healthy, show what it serves
	@$(CTL)/up

dev: ## E The same stack without Docker: needs Python 3.11 to 3.13, and nothing else
	@deploy/embedded/dev

down: ## DE Stop the stack and end its runs; data stays
	@$(TASK) down $(CTL)/down

reset: ## DE Delete all data of the stack and of the embedded mode; asks first
	@$(CTL)/reset

##@ Look

status: ## DE Code locations with image and load state, schedules with their next tick
	@$(TASK) status $(CTL)/status

ps: ## DE Services or processes and their state, and those of runs
	@$(TASK) ps $(CTL)/ps

logs: ## DE Follow the logs: all, or of one service with SERVICE=daemon
	@$(TASK) logs docker compose logs --follow --tail=100 $(SERVICE)

doctor: ## DE Find what is wrong, and what mends it; BUNDLE=1: also an archive for a question, without secrets
	@$(CTL)/stackctl doctor $(if $(BUNDLE),--bundle) $(if $(JSON),--json)

psql: ## DE Open a session in the warehouse, as LOCATION=analytics; PRINT=1: its address for other programs
	@$(TASK) psql $(CTL)/psql

##@ Old history

retention-plan: ## DE Show which old runs, events and files would go, and how much space that is; changes nothing
	@$(TASK) retention-plan $(CTL)/retention plan

retention: ## DE Remove them now; COMPACT=1: give the disk space back, runs wait meanwhile
	@$(TASK) retention $(CTL)/retention run $(if $(COMPACT),--compact)

##@ Alerts

# Names reach the shell as variables.
alert-channel: ## D Store where alerts go, an Apprise URL; asks for it: NAME=slack, of one location: LOCATION=elt
	@$(TASK) alert-channel $(CTL)/alerts add "$${NAME-}" "$${LOCATION-}"

alert-channel-remove: ## D Remove one: NAME=slack, LOCATION=elt
	@$(TASK) alert-channel-remove $(CTL)/alerts remove "$${NAME-}" "$${LOCATION-}"

alert-test: ## D Send a test message to each channel: all, or of LOCATION=elt
	@$(TASK) alert-test $(CTL)/alerts test "$${LOCATION-}"

alerts-check: ## D Check every alerts.yaml
	@$(TASK) alerts-check $(CTL)/alerts check

##@ Ship

deploy: ## D Ship one location: LOCATION=elt, from this checkout or IMAGE=registry/name@sha256:...
	@$(TASK) deploy $(CTL)/stackctl deploy $(LOCATION) $(if $(IMAGE),--image=$(IMAGE))

rollback: ## D Go back to the release before, each time one further, or TO=release: LOCATION=elt
	@$(TASK) rollback $(CTL)/stackctl rollback $(LOCATION) $(if $(TO),--to=$(TO))

releases: ## D List the releases that are kept: all, or of LOCATION=elt
	@$(TASK) releases $(CTL)/stackctl releases $(LOCATION)

diff: ## D Show what a deploy would change in definitions: LOCATION=elt
	@$(TASK) diff $(CTL)/stackctl diff $(LOCATION) $(if $(IMAGE),--image=$(IMAGE))

watch: ## D Ship a location whenever a file of it changes: all, or LOCATION=elt
	@$(TASK) watch $(CTL)/stackctl watch $(LOCATION)

build: ## D Build the images; only what changed is rebuilt
	@$(TASK) build $(CTL)/build

sbom: ## D Write what is in each image of ours, as CycloneDX, into sbom/
	@$(TASK) sbom $(CTL)/stackctl sbom $(if $(IMAGE),--image=$(IMAGE))

##@ Code locations

# A name reaches the shell as a variable: whatever is in it, nothing of it is run.
location: ## DE Add a code location, live where the stack runs: NAME=marketing; LOADER=1: one that loads files
	@$(CTL)/stackctl location add --loader="$${LOADER-}" -- "$${NAME-}"

location-remove: ## DE Remove one: NAME=marketing, with its data by DELETE_DATA=1
	@$(CTL)/stackctl location remove $(if $(DELETE_DATA),--delete-data) $(if $(YES),--yes) -- "$${NAME-}"

check: ## - Load every code location's definitions, as `dg check defs` does; VERBOSE=1: all that it says
	@tests/check

##@ People and secrets

user: ## D Let someone use the UI from elsewhere: NAME=alice ROLE=viewer or editor; asks for a password
	@$(TASK) user $(CTL)/user add "$${NAME-}" "$${ROLE-}"

user-remove: ## D Remove a user: NAME=alice
	@$(TASK) user-remove $(CTL)/user remove "$${NAME-}"

sso-secret: ## D Keep the client secret of single sign-on; asks for it
	@$(TASK) sso-secret $(CTL)/user sso-secret

secrets-rotate: ## D Rotate all passwords and keys; running runs end first, queued ones wait
	@$(TASK) secrets-rotate $(CTL)/stackctl rotate-secrets $(if $(WAIT),--wait=$(WAIT))

##@ Backup and restore

backup: ## D Make a backup now; needs the profile backup, which makes them by itself, too
	@$(TASK) backup $(CTL)/stackctl backup

backups: ## D List the backups, and what the last one and the last rehearsed restore came to
	@$(TASK) backups $(CTL)/stackctl backups

restore: ## D Restore the databases: AT=time (UTC), BACKUP=id, INTO=new project; UNDO=volume
	@$(TASK) restore $(CTL)/stackctl restore --at="$${AT-}" --backup="$${BACKUP-}" --into="$${INTO-}" --undo="$${UNDO-}" $(if $(YES),--yes)

backup-repository: ## D Open or make the encrypted repository elsewhere (BACKUP_REPOSITORY); asks for its password
	@$(TASK) backup-repository $(CTL)/offsite open "$${VARIABLES-}"

backup-copies: ## D List the copies that it holds
	@$(TASK) backup-copies $(CTL)/offsite list

backup-fetch: ## D Bring the backups back from it, on a machine that has none: COPY=id
	@$(TASK) backup-fetch $(CTL)/stackctl fetch --copy="$${COPY-}"

restore-rehearse: ## D Restore the newest backup into a server of its own, and read every table
	@$(TASK) restore-rehearse $(CTL)/stackctl rehearse

##@ Upgrade

# Values reach the shell as variables.
upgrade: ## D Upgrade the control plane to this checkout's, tried on a copy first: TRY=1 reports only; TO=version
	@$(TASK) upgrade $(CTL)/stackctl upgrade --to="$${TO-}" --accept="$${ACCEPT-}" $(if $(TRY),--try) $(if $(YES),--yes)

upgrade-back: ## D Go back to before the last upgrade
	@$(TASK) upgrade-back $(CTL)/stackctl upgrade-back $(if $(YES),--yes)

##@ Without a network

# A file's name reaches the shell as a variable, too.
bundle: ## - Write all that this version needs into one archive, in .artifacts or INTO=folder
	@$(CTL)/stackctl bundle $(if $(INTO),--into="$${INTO}")

unbundle: ## - Take one in on a machine without a network, before make up: BUNDLE=archive
	@$(CTL)/unbundle -- "$${BUNDLE-}"

##@ Past one machine

# Addresses and URLs reach the shell as variables, too.
helm-values: ## - Write values for Dagster's Helm charts: REGISTRY= HOSTS='postgres=address' LOGS=s3://bucket/prefix
	@$(CTL)/stackctl helm-values --registry="$${REGISTRY-}" --images="$${IMAGES-}" --hosts="$${HOSTS-}" --logs="$${LOGS-}" --logs-endpoint="$${LOGS_ENDPOINT-}" --storage-class="$${STORAGE_CLASS-}" --pull-secret="$${PULL_SECRET-}" $(if $(INTO),--into="$${INTO}")

##@ Develop and test

test: ## - Run all tests that this machine allows, and name what was skipped; of one location: LOCATION=elt
	@tests/run $(if $(LOCATION),location:$(LOCATION))

soak: ## - What `make test` leaves out: the long tests, and further cases
	@tests/soak

bench: ## - Measure side by side: launches, shipping, loading files, loading definitions; each with its peers
	@bench/run launch_speed
	@bench/run ship_speed
	@bench/run load_speed --large 10000000
	@bench/run definitions_load

docs: ## - Build the documentation as a web site into .artifacts/docs, and check its links
	@$(UV) run --frozen --quiet --project tests/docs_site mkdocs build --quiet -f tests/docs_site/mkdocs.yml

lint: ## - Check style, types and scripts
	@tests/lint

format: ## - Format the Python code
	@tests/lint --fix

audit: ## - Look up all locked packages in a database of known vulnerabilities
	@tests/audit

##@ This machine

engine: ## - Debian, as root: install and start Docker Engine
	@.ci/engine

base-images: ## - Build stand-ins for base images that cannot be pulled here
	@.ci/base-images
