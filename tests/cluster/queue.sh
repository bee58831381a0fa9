#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A queue on three nodes: what was put at one is taken at another, the leader dies while they work, and every acknowledged
# job is done; what a dead node's clients had reserved comes back, long before its time to run is over.
. "$(dirname "$0")/lib.sh"

undo() {
	local job

	for job in $(jobs -p); do
		kill "$job" 2>/dev/null
	done
}

beans() {
	cluster exec python3 "$top/tests/cluster/beans.py" "$@"
}

# addresses NODE...: as a client wants them
addresses() {
	local n list=

	for n in "$@"; do
		list+=,10.77.1.$n:11300
	done
	echo "${list#,}"
}

# lines_in FILE COUNT
lines_in() {
	[ "$(sort -u "$1" 2>/dev/null | wc -l)" -ge "$2" ]
}

begin --machine queue
lead=$(await_leader)
read -r one other <<<"$(followers | xargs)"

note "every node serves: put at node $one, taken at node $other, then at $lead"
beans put "$(addresses "$one")" first 1 50 "$work/acked.first" || fail "node $one takes no jobs"
beans work "$(addresses "$other")" first 30 "$work/done.first" || fail "node $other gives no jobs"
beans work "$(addresses "$lead")" first 50 "$work/done.first" || fail "node $lead gives no jobs"
seq 50 | cmp - "$work/done.first" || fail "the jobs came in another order"

note "the leader, node $lead, dies while they work"
count=4000
beans put "$(addresses "$lead" "$one" "$other")" chaos 1 $((count / 2)) "$work/acked" &
put_a=$!
beans put "$(addresses "$one" "$other")" chaos $((count / 2 + 1)) $((count / 2)) "$work/acked" &
put_b=$!
beans work "$(addresses "$other" "$lead" "$one")" chaos "$count" "$work/done" &
worker=$!
wait_until "they were at work" lines_in "$work/done" 200
cluster kill "$lead"
wait $put_a || fail "a producer gave up"
wait $put_b || fail "a producer gave up"
wait $worker || fail "the worker gave up"
sort -nu "$work/acked" >"$work/acked.sorted"
sort -nu "$work/done" >"$work/done.sorted"
seq $count | cmp - "$work/acked.sorted" || fail "a put was never acknowledged"
seq $count | cmp - "$work/done.sorted" || fail "an acknowledged job was not done"
cluster start "$lead"

note "jobs of a dead node's clients come back"
wait_until "all nodes were there again" converged
beans put "$(addresses "$one")" held 7 1 "$work/acked.held"
beans hold "$(addresses "$other")" held >"$work/holder" 2>&1 &
wait_until "a client of node $other had the job" grep -qx 7 "$work/holder"
[ "$(beans ask "$(addresses "$one")" 'watch held' 'ignore default' 'reserve-with-timeout 0' | tail -n 1)" = TIMED_OUT ] ||
	fail "a job has two holders"
cluster kill "$other"
beans work "$(addresses "$one" "$lead")" held 1 "$work/done.held" || fail "the job did not come back"
grep -qx 7 "$work/done.held" || fail "another job came"
