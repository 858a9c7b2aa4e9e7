# shellcheck shell=bash
# Source it first: with --help or -h, prints the comment at the top of the program, and ends.
case ${1:-} in
-h | --help)
	awk 'NR > 1 && !/^#/ { exit } NR > 1 && !/^# shellcheck/ { sub(/^# ?/, ""); print }' "$0"
	exit
	;;
esac
