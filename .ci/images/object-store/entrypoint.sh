#!/bin/sh
# As root: hand /data to the unprivileged user and become that user, like the real
# image does. Started as another user, it stays that user.
set -eu
if [ "$(id -u)" = 0 ]; then
  [ "$(stat -c %u:%g /data)" = 1000:1000 ] || chown -R seaweed:seaweed /data
  exec setpriv --reuid=seaweed --regid=seaweed --init-groups "$0" "$@"
fi
[ "${1:-}" = mini ] || {
  echo "this stand-in knows only the command 'mini', not '${1:-}'" >&2
  exit 2
}
shift
exec /opt/object-store/venv/bin/python /opt/object-store/stand_in.py "$@"
