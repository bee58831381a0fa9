# SPDX-License-Identifier: Apache-2.0
# What the tests of a queue on a cluster share: lib.sh, and its clients. Sourced, never run.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

undo() {
	local job

	for job in $(jobs -p); do
		kill "$job" 2>/dev/null
	done
}

# on_client SCRIPT ARGUMENT...: one of the Python clients of this folder, on the client's host
on_client() {
	cluster exec python3 "$top/tests/cluster/$1" "${@:2}"
}

beans() {
	on_client beans.py "$@"
}

# addresses NODE...: as a client wants them
addresses() {
	local n list=

	for n in "$@"; do
		list+=,10.77.1.$n:11300
	done
	echo "${list#,}"
}

# talk NAME ADDRESSES: a connection that lives on; say NAME LINE..., heard NAME LINE
talk() {
	mkfifo "$work/$1.in"
	(exec "$top/scripts/cluster" exec python3 "$top/tests/cluster/beans.py" talk "$2" \
		<"$work/$1.in" >"$work/$1.out") &
	exec {talking}>"$work/$1.in" # stays open, so that the connection does
	declare -g "fd_$1=$talking"
}

say() {
	local fd=fd_$1

	printf '%s\n' "${@:2}" >&"${!fd}"
}

heard() {
	grep -q "^$2" "$work/$1.out"
}
