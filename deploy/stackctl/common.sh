# shellcheck shell=bash
# Shared by the scripts here. Sourced, not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

step() { printf '\033[1m==>\033[0m %s\n' "$*"; }

need_engine() {
	command -v docker >/dev/null ||
		fail "there is no docker command here. Way out: 'make dev' runs the stack without Docker; on Debian, 'make engine' installs it."
	local why
	why=$(docker version --format '{{.Server.Version}}' 2>&1 >/dev/null) ||
		fail "no Docker Engine answers (${why##*$'\n'}). Way out: 'make dev' runs the stack without Docker; on Debian, 'make engine' starts one."
	local version
	version=$(docker version --format '{{.Server.Version}}')
	# A code location mounts its own folder of the step logs by `subpath`.
	((${version%%.*} >= 26)) ||
		fail "Docker Engine $version is too old. Fix: install version 26 or newer."
	docker compose version >/dev/null 2>&1 ||
		fail "docker has no compose plugin. Way out: install docker-compose 2.26 or newer; on Debian, 'make engine' does."
}

# The resolved configuration: settings of .env, of the environment, and defaults alike.
# A second argument is the service to look at.
setting() { docker compose config ${2:+"$2"} 2>/dev/null | sed -n "s/^ *$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" | head -n 1; }

project() { docker compose config 2>/dev/null | sed -n 's/^name: *//p'; }

# The first two numbers of the code locations' subnets.
rpc_subnets() { docker compose config 2>/dev/null | sed -n 's|^ *- subnet: \([0-9]*\.[0-9]*\)\..*/27$|\1|p' | head -n 1; }

run_containers() {
	docker ps --all --quiet --filter "label=compose_run_launcher.project=$(project)"
}

# Where the UI answers: on loopback by plain HTTP, elsewhere and with a login by TLS.
url() {
	local host port scheme=http
	host=$(setting host_ip web_gateway)
	port=$(setting published web_gateway)
	[[ -z $(setting SSO_ISSUER) ]] || scheme=https
	case $host in
	127.*) echo "$scheme://localhost:$port" ;;
	0.0.0.0) echo "https://$(hostname):$port" ;;
	*) echo "https://$host:$port" ;;
	esac
}
