# shellcheck shell=sh disable=SC2034
# The Python projects of this repository, each with its own lock file. Sourced, not run.
PROJECTS="code_locations/elt code_locations/analytics deploy/control_plane deploy/embedded deploy/stackctl tests/embedded tests/existing_project tests/stack"
