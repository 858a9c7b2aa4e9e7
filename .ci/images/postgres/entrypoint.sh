#!/usr/bin/env bash
# Does what the official image documents: on the first start with an empty data
# folder it creates the cluster, the user and the database, runs what lies in
# /docker-entrypoint-initdb.d, and then it becomes the server. Anything but
# `postgres` is run as it stands.
set -euo pipefail

fail() {
  printf 'Error: %s\n' "$@" >&2
  exit 1
}
log() { printf '%s: %s\n' "$0" "$*"; }

# NAME, or the content of the file that NAME_FILE names, or a default.
setting() {
  local name=$1 from_file=$1_FILE value=${2:-}
  [[ -z ${!name:-} || -z ${!from_file:-} ]] ||
    fail "both $name and $from_file are set (but are exclusive)"
  if [[ -n ${!name:-} ]]; then
    value=${!name}
  elif [[ -n ${!from_file:-} ]]; then
    value=$(<"${!from_file}")
  fi
  export "$name=$value"
  unset "$from_file"
}

# Questions to the binary need no cluster.
asks_only() {
  local argument
  for argument in "$@"; do
    case $argument in
      -\? | --help | --describe-config | -V | --version) return 0 ;;
    esac
  done
  return 1
}

prepare_folders() {
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA" 2>/dev/null || true
  chmod 3777 /var/run/postgresql 2>/dev/null || true
  if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
    mkdir -p "$POSTGRES_INITDB_WALDIR"
    chmod 0700 "$POSTGRES_INITDB_WALDIR" 2>/dev/null || true
  fi
  if ((EUID == 0)); then
    find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
      \! -user postgres -exec chown postgres '{}' +
  fi
}

require_password() {
  [[ -n $POSTGRES_PASSWORD || ${POSTGRES_HOST_AUTH_METHOD:-} == trust ]] ||
    fail "Database is uninitialized and superuser password is not specified." \
      "Set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE to a non-empty value."
}

create_cluster() {
  local options=(--username="$POSTGRES_USER" --pgdata="$PGDATA")
  [[ -z ${POSTGRES_INITDB_WALDIR:-} ]] || options+=(--waldir="$POSTGRES_INITDB_WALDIR")
  # The variable holds shell words, quotes included, as it does for the official image.
  eval "options+=(${POSTGRES_INITDB_ARGS:-})"
  initdb "${options[@]}" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}" \
    >>"$PGDATA/pg_hba.conf"
}

sql() {
  psql --no-psqlrc --no-password -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
    --dbname "${POSTGRES_DB}" "$@"
}

create_database() {
  POSTGRES_DB=postgres sql --tuples-only --set db="$1" >/dev/null <<'SQL'
SELECT format('CREATE DATABASE %I', :'db')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'db') \gexec
SQL
}

run_first_start_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        log "running $file"
        # As documented: executable files run on their own, others are sourced.
        # shellcheck source=/dev/null
        if [[ -x $file ]]; then "$file"; else . "$file"; fi
        ;;
      *.sql) log "running $file" && sql -f "$file" ;;
      *.sql.gz) log "running $file" && gunzip -c "$file" | sql ;;
      *.sql.xz) log "running $file" && xzcat "$file" | sql ;;
      *.sql.zst) log "running $file" && zstd -dc "$file" | sql ;;
      *) [[ ! -e $file ]] || log "ignoring $file" ;;
    esac
  done
}

# The temporary server listens on its socket only: nobody can connect over the
# network, or pass a health check on it, before the first start is complete.
first_start() {
  create_cluster
  export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -w start \
    -o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
  create_database "$POSTGRES_DB"
  run_first_start_files
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[[ ${1:-} != -* ]] || set -- postgres "$@"
if [[ ${1:-} != postgres ]] || asks_only "$@"; then
  exec "$@"
fi

# Before the privileges are dropped: root may be the only one to read a secret file.
setting POSTGRES_PASSWORD
setting POSTGRES_USER postgres
setting POSTGRES_DB "$POSTGRES_USER"
setting POSTGRES_INITDB_ARGS

prepare_folders
if ((EUID == 0)); then
  exec gosu postgres "$0" "$@"
fi

if [[ -s $PGDATA/PG_VERSION ]]; then
  printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
else
  require_password
  first_start "${@:2}"
fi
exec "$@"
