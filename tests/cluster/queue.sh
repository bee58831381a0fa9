#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A queue on three nodes: what was put at one is taken at another, the leader dies while they work, and every acknowledged
# job is done; what a dead node's clients had reserved comes back, long before its time to run is over.
. "$(dirname "$0")/queue_lib.sh"

# lines_in FILE COUNT
lines_in() {
	[ "$(sort -u "$1" 2>/dev/null | wc -l)" -ge "$2" ]
}

# tasks NODE [OPTION ...]
tasks() {
	decree tasks -c "$client_ini" --node "$1" --json "${@:2}"
}

# What it shows on a terminal of 12 rows and 60 columns, again and again.
screen() {
	timeout 20 script -qec "stty rows 12 columns 60; $top/scripts/cluster exec $DECREE_BIN/decree tasks -c $client_ini --interval 50" /dev/null
}

# fits FILE: each of its screens but the last one, which may be cut, leaves a row for the cursor, and no more than a line could need
fits() {
	python3 - "$1" <<-'END'
		import sys
		screens = open(sys.argv[1], newline="").read().split("\033[H\033[2J")[1:-1]
		rows = [sum(max(1, -(-len(line) // 60)) for line in screen.split("\r\n")[:-1]) for screen in screens]
		sys.exit(f"rows of the screens: {rows}" if not rows or min(rows) < 9 or max(rows) > 11 else 0)
	END
}

begin --machine queue
lead=$(await_leader)
read -r one other <<<"$(followers | xargs)"

note "every node serves: put at node $one, taken at node $other, then at $lead"
beans put "$(addresses "$one")" first 1 50 "$work/acked.first" || fail "node $one takes no jobs"
beans work "$(addresses "$other")" first 30 "$work/done.first" || fail "node $other gives no jobs"
beans work "$(addresses "$lead")" first 50 "$work/done.first" || fail "node $lead gives no jobs"
seq 50 | cmp - "$work/done.first" || fail "the jobs came in another order"

note "decree tasks: every tube and job, as many pages as it takes"
beans put "$(addresses "$one")" many 1 120 "$work/acked.many" || fail "node $one takes no jobs"
for n in $(seq 20); do
	printf 'use tube-%s\0put 5 10000 60 1|x\0' "$n"
done | xargs -0 "$top/scripts/cluster" exec python3 "$top/tests/cluster/beans.py" ask "$(addresses "$other")" >"$work/asked"
for n in 1 2 3; do
	tasks "$n" --jobs --limit 1000 | jq -e '.tube_count == 22 and (.tubes | length) == 22 and .ready == 120 and .delayed == 20
		and ([.tubes[] | select(.delayed == 1)] | length) == 20 and (.has_more_jobs | not)
		and ([.jobs[] | select(.tube == "many").id] | length == 120 and . == sort)
		and ([.jobs[] | select(.state == "delayed" and .left_s > 50) | .tube] | unique | length) == 20' >/dev/null ||
		fail "node $n tells of other tasks: $(tasks "$n")"
done
tasks "$one" --jobs --limit 7 | jq -e '(.tubes | length) == 7 and .has_more_jobs' >/dev/null || fail "a limit"
screen >"$work/screen" &
watcher=$!
wait_until "the rates were shown" grep -q 'each second: [0-9]* puts' "$work/screen"
kill "$watcher"
fits "$work/screen" || fail "the first lines are out of sight"
grep -aq "$(printf '\033')\[H.*" "$work/screen" || fail "the screen is not drawn anew: $(head -c 500 "$work/screen")"

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
for n in 1 2 3; do
	tasks "$n" --jobs --tube held | jq -e --argjson node "$other" '.reserved == 1 and (.jobs | length) == 1
		and (.jobs[0] | .tube == "held" and .state == "reserved" and .reserves == 1 and .bytes == 1 and .left_s > 3000
			and .holder.node == $node)' >/dev/null || fail "node $n tells of other tasks: $(tasks "$n" --jobs --tube held)"
done
"$top/scripts/cluster" exec "$DECREE_BIN/decree" tasks --once >/dev/null || fail "decree tasks on the client's host, without -c"
! "$top/scripts/cluster" submit </dev/null 2>"$work/refused" || fail "lines are submitted to a queue"
grep -q "machine is the queue" "$work/refused" || fail "why a queue takes no lines: $(cat "$work/refused")"
decree tasks -c "$client_ini" --jobs --tube held >"$work/tasks" || fail "decree tasks"
grep -Eq "^held +0 +1 " "$work/tasks" || fail "no row of the tube: $(cat "$work/tasks")"
grep -Eq " 1 reserved .* held +node $other, connection" "$work/tasks" || fail "no row of the job: $(cat "$work/tasks")"
decree tasks -c "$client_ini" --tube nothing 2>&1 | grep -q "there is no tube 'nothing'" || fail "a tube that there is not"
cluster kill "$other"
beans work "$(addresses "$one" "$lead")" held 1 "$work/done.held" || fail "the job did not come back"
grep -qx 7 "$work/done.held" || fail "another job came"
