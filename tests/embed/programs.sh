# SPDX-License-Identifier: Apache-2.0
# Programs of the examples' kind: one on each node of a cluster, each answers a line with a line. Sourced, after lib.sh.

pids=()

# start_program N COMMAND ... : commands from $work/in-N, answers to $work/out-N.
start_program() {
	local n=$1

	shift
	: >"$work/out-$n"
	[ -p "$work/in-$n" ] || mkfifo "$work/in-$n"
	# <> so that neither side waits for the other, and no end of the input is ever seen.
	(exec "$top/scripts/cluster" exec-on "$n" "$@" \
		<>"$work/in-$n" >"$work/out-$n" 2>>"$DECREE_CLUSTER_DIR/node$n/log") &
	pids[n]=$!
}

# end_program N [SIGNAL]
end_program() {
	kill "-${2:-TERM}" "${pids[$1]}" 2>/dev/null
	wait "${pids[$1]}" 2>/dev/null
}

undo() {
	local n

	for n in "${!pids[@]}"; do
		end_program "$n"
	done
}

has_answers() {
	[ "$(wc -l <"$work/out-$1")" -ge "$2" ]
}

# ask N LINE: prints the answer.
ask() {
	local count

	count=$(wc -l <"$work/out-$1")
	echo "$2" >"$work/in-$1"
	wait_until "node $1 had answered '$2'" has_answers "$1" $((count + 1))
	tail -n 1 "$work/out-$1"
}

# expect N LINE ANSWER
expect() {
	local answer

	answer=$(ask "$1" "$2")
	[ "$answer" = "$3" ] || fail "node $1 answers '$2' with '$answer', not with '$3'"
}
