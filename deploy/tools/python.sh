# shellcheck shell=sh
# Which Python to use on this machine. Sourced; `fail` is the script's own.
# The first interpreter that really runs (pyenv's shims exist for versions that do not).
find_python() {
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11, 3.12 or 3.13 found on PATH; install one and run this again"
}
