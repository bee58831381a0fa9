#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client that nobody here wrote, with its own tests: against beanstalkd, against one node, and against each node of a cluster.
# suites.sh NAME OK TIMED [NOT-OK ...]
#
# OK is how many of its tests pass, each NOT-OK the line of one that fails: on beanstalkd, and so everywhere else. Every run has a server, or a
# cluster, that nobody has used before. Some tests ask what a slow machine cannot do, such as work done within half a second: those whose titles
# begin with TIMED. A run in which nothing but these failed is repeated, twice at most; any other test may not fail once.
. "$(dirname "$0")/../cluster/lib.sh"

name=${1:?the name of a client} ok=${2:?how many of its tests pass} timed=${3:?how titles of tests about time begin}
shift 3
here=$top/tests/clients
runs=()

undo() {
	local pid

	for pid in "${runs[@]}"; do
		pkill -P "$pid"
		kill "$pid" 2>/dev/null
	done
}

# alone COMMAND...: in a network of its own, where port 11300 is free
alone() {
	local user=()

	[ "$(id -u)" -eq 0 ] || user=(--user --map-root-user)
	unshare "${user[@]}" --net "$here/alone" "$@"
}

# on_beanstalkd / on_one / on_node: run the tests, each on a server of its own
on_beanstalkd() {
	alone "$work/$1" "$here/suite" "$folder" "$name" -- beanstalkd -l 127.0.0.1
}

on_one() {
	alone "$work/$1" "$here/suite" "$folder" "$name" -- "$DECREE_BIN/decreed" -b "$work/queue.$SRANDOM"
}

on_node() {
	begin --machine queue --set queue.listen=127.0.0.1:11300 >&2
	cluster exec-on "$2" "$here/suite" "$folder" "$name" >"$work/$1"
	cluster down
}

is_expected() {
	local file=$1

	shift
	[ "$(grep -c '^ok ' "$file")" -eq "$ok" ] && diff <(grep '^not ok ' "$file") <([ $# -eq 0 ] || printf '%s\n' "$@")
}

# Whatever failed and should not have is about time.
is_about_time() {
	[ -s "$1" ] && ! grep '^not ok ' "$1" | grep -vxFf <(printf '%s\n' "${not_ok[@]}") | grep -qv "^not ok $timed"
}

# judge LABEL COMMAND...
judge() {
	local label=$1 try

	shift
	for try in 1 2 3; do
		"$1" "$label" "${@:2}" && is_expected "$work/$label" "${not_ok[@]}" && note "$name on $label: as expected" && return
		note "$name on $label, try $try: something else, which was"
		cat "$work/$label"
		is_about_time "$work/$label" || break
	done
	fail "$name on $label: another outcome"
}

not_ok=("$@")
folder=$("$here/fetch" --look) || {
	echo "skipped: the clients are not there (scripts/deps test)"
	exit 77
}
for label in beanstalkd one; do
	(is_trial=1 && judge "$label" "on_$label") >"$work/said.$label" 2>&1 &
	runs+=($!)
done
for node in 1 2 3; do
	judge "node$node" on_node "$node"
done
for label in beanstalkd one; do
	wait "${runs[0]}"
	status=$?
	runs=("${runs[@]:1}")
	cat "$work/said.$label"
	[ $status -eq 0 ] || fail "$name on $label"
done
