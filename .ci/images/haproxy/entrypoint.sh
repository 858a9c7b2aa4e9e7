#!/bin/sh
# `haproxy ...`, or options alone, runs master-worker in the foreground; anything
# else is run as it stands.
set -e
case ${1:-} in
  -*) ;;
  haproxy) shift ;;
  *) exec "$@" ;;
esac
exec haproxy -W -db "$@"
