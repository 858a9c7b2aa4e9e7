# shellcheck shell=bash
# What `make up` refuses to start with; `make doctor` reports the same. Sourced after common.sh.
# Each function ends with fail where something is wrong.

base_images() {
	docker compose config | sed -n -e 's/^ *PYTHON_IMAGE: *//p' -e 's/^ *HAPROXY_IMAGE: *//p'
	docker compose config --images | grep -v "^$(project)/" || true
}

# Images that something is built from or runs, and that this engine does not have.
missing_base_images() {
	local image
	for image in $(base_images | sort -u); do
		docker image inspect "$image" >/dev/null 2>&1 || echo "$image"
	done
}

# The port that a service publishes: taken by something else? $2 is the setting, $3 a value to try.
check_port() {
	local port
	port=$(setting published "$1")
	[[ -n $(docker compose ps --quiet --status running "$1" 2>/dev/null) ]] && return
	if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
		fail "port $port is taken. Fix: $2=$3 in .env, or stop what listens there."
	fi
}

# Compose keeps a network as it was made; then rules for another range would block nothing.
check_outside() {
	local wanted found
	wanted=$(docker compose config | sed -n 's|^ *- subnet: \(.*/20\)$|\1|p')
	found=$(docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' "$(project)_outside" 2>/dev/null) || return 0
	[[ $found == "$wanted" ]] ||
		fail "the network $(project)_outside was made with the range $found, and is $wanted now. Fix: make down, make up; data stays."
}

check_configuration() {
	docker compose config --quiet || fail "docker-compose.yml or .env is invalid, see above"
}
