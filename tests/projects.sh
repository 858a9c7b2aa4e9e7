# shellcheck shell=sh disable=SC2034
# The Python projects of this repository, each with its own lock file. Sourced at the root, not run.
PROJECTS="$(dirname code_locations/*/pyproject.toml packages/*/pyproject.toml | tr '\n' ' ')bench/load_speed bench/scale deploy/alerts deploy/backup deploy/control_plane deploy/embedded deploy/gateway/docker deploy/monitoring/exporter deploy/stackctl tests/embedded tests/guides tests/kubernetes tests/stack"
# With the one that holds no code of ours.
LOCKED="$PROJECTS tests/docs_site"
