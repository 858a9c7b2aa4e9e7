# shellcheck shell=bash
# Shared by the scripts here. Sourced, not run.
set -euo pipefail
# shellcheck source=deploy/tools/help.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tools/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The oldest that the stack runs on; README.md quotes them. A code location mounts its own folder of
# the step logs by `subpath`, which is new in Engine 26; older Compose than 2.26 is not tested.
readonly ENGINE_MINIMUM=26 COMPOSE_MINIMUM=2.26

# By default an image also says when it was built, so that with containerd's image store (Engine 29)
# each build has a new id, and Compose re-creates every container. Not a setting of .env: the builder
# reads it from the environment alone.
export BUILDX_NO_DEFAULT_ATTESTATIONS=${BUILDX_NO_DEFAULT_ATTESTATIONS:-1}

fail() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

step() { printf '\033[1m==>\033[0m %s\n' "$*"; }

need_engine() {
	command -v docker >/dev/null ||
		fail "there is no docker command here. Fix: 'make dev' runs the stack without Docker; on Debian, 'make engine' installs it."
	local name why version
	name=$(docker --version 2>/dev/null) || name=
	[[ $name != *podman* ]] ||
		fail "the docker command here is Podman's ($name), which is not supported: it has no BuildKit, and no start_interval of health checks. Fix: install Docker Engine $ENGINE_MINIMUM or newer, or run the stack without Docker: make dev"
	why=$(docker version --format '{{.Server.Version}}' 2>&1 >/dev/null) ||
		fail "no Docker Engine answers (${why##*$'\n'}). Fix: 'make dev' runs the stack without Docker; on Debian, 'make engine' starts one."
	version=$(docker version --format '{{.Server.Version}}')
	is_at_least "$version" "$ENGINE_MINIMUM" ||
		fail "Docker Engine $version is too old: the stack needs $ENGINE_MINIMUM or newer. Fix: upgrade it (https://docs.docker.com/engine/install), or run the stack without Docker: make dev"
	version=$(docker compose version --short 2>/dev/null) ||
		fail "docker has no compose plugin. Fix: install docker-compose $COMPOSE_MINIMUM or newer; on Debian, 'make engine' does."
	is_at_least "$version" "$COMPOSE_MINIMUM" ||
		fail "Docker Compose $version is too old: the stack needs $COMPOSE_MINIMUM or newer. Fix: upgrade it (https://docs.docker.com/compose/install)"
}

# Whether version $1 is $2 or newer, by its first two numbers.
is_at_least() {
	awk -v found="${1#v}" -v least="$2" 'BEGIN {
		split(found, f, "[.]"); split(least, l, "[.]")
		exit !(f[1] + 0 > l[1] + 0 || (f[1] + 0 == l[1] + 0 && f[2] + 0 >= l[2] + 0))
	}'
}

# The resolved configuration of a service ($2): settings of .env, of the environment, and defaults
# alike.
setting() { docker compose config "$2" 2>/dev/null | setting_in "$1"; }
setting_in() { sed -n "s/^ *$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" | head -n 1; }

project() { docker compose config 2>/dev/null | sed -n 's/^name: *//p'; }

# The first two numbers of the code locations' subnets.
rpc_subnets() { docker compose config 2>/dev/null | sed -n 's|^ *- subnet: \([0-9]*\.[0-9]*\)\..*/27$|\1|p' | head -n 1; }

run_containers() {
	docker ps --all --quiet --filter "label=compose_run_launcher.project=$(project)"
}

# Where the UI answers: on loopback by plain HTTP, elsewhere and with a login by TLS; behind a reverse
# proxy by the first of its names.
url() {
	local config host port prefix scheme=http
	# Once: each question takes Compose a tenth of a second.
	config=$(docker compose config web_gateway 2>/dev/null)
	of_gateway() { setting_in "$1" <<<"$config"; }
	prefix=$(of_gateway WEB_PATH_PREFIX)
	if [[ -n $(of_gateway WEB_TRUSTED_PROXIES) ]]; then
		host=$(of_gateway WEB_HOSTS)
		echo "https://${host%% *}$prefix"
		return
	fi
	host=$(of_gateway host_ip)
	port=$(of_gateway published)
	[[ -z $(of_gateway SSO_ISSUER) ]] || scheme=https
	case $host in
	127.*) echo "$scheme://localhost:$port$prefix" ;;
	0.0.0.0) echo "https://$(hostname):$port$prefix" ;;
	*) echo "https://$host:$port$prefix" ;;
	esac
}
