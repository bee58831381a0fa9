#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A log that is far too small for what is submitted: snapshots make room again and again. Nodes are killed while
# they write one, one is away for longer than the logs reach back, files are damaged; and everything that was
# acknowledged is applied once, on every node.
. "$(dirname "$0")/lib.sh"

begin --log-bytes $((16 << 20)) --set local.segment_bytes=1M --set cluster.election_ms=1000

lines() {
	long_lines
}

# The snapshot files of a node, the newest first.
files() {
	find "$DECREE_CLUSTER_DIR/node$1/data/snapshots" -name 'snapshot-*-*' | sort -t- -k3 -n -r
}

note "the log goes around"
load
wait_until "every node had cut and trimmed" all_have_trimmed
low=$(field "$(leader)" low)
wait_until "the log had gone around" low_is_beyond "$(leader)" $((low + 3 * 4096))

note "on demand"
decree snapshot -c "$client_ini" >"$work/snapshot.log" 2>&1 || fail "decree snapshot: $(cat "$work/snapshot.log")"
[ "$(grep -c '^node [123]: slot' "$work/snapshot.log")" -eq 3 ] || fail "not every node is named"

note "killed while a snapshot is written"
for delay in 0.00 0.02 0.05 0.1; do
	victim=$(set -- $(followers) && echo "$1")
	decree snapshot -c "$client_ini" --timeout 3000 >/dev/null 2>&1 &
	asked=$!
	sleep "$delay"
	cluster kill "$victim"
	wait "$asked"
	cluster start "$victim" || fail "node $victim does not start again"
	acks_grow 200
done
lead=$(await_leader)
decree snapshot -c "$client_ini" --timeout 3000 >/dev/null 2>&1 &
asked=$!
sleep 0.05
cluster kill "$lead"
wait "$asked"
wait_until "another node led" another_leads "$lead"
cluster start "$lead" || fail "node $lead does not start again"
acks_grow 200

note "away for longer than the logs reach back"
victim=$(set -- $(followers) && echo "$1")
applied=$(field "$victim" applied)
cluster kill "$victim"
decree snapshot -c "$client_ini" --timeout 2000 >"$work/snapshot.log" 2>&1 && fail "a dead node has a snapshot"
grep -q "node $victim does not answer" "$work/snapshot.log" || fail "no word of node $victim"
wait_until "the leader's log had left it behind" low_is_beyond "$(leader)" "$applied"
target=$(field "$(leader)" applied)
cluster start "$victim" || fail "node $victim does not start again"
wait_until "node $victim had caught up" has_applied "$victim" "$target"

note "a damaged and a missing snapshot"
victim=$(set -- $(followers) && echo "$1")
cluster kill "$victim"
for file in $(files "$victim"); do
	flip "$file" 4100
done
refuses_to_start "$victim" 'damaged'
for file in $(files "$victim"); do
	flip "$file" 4100
done
mkdir "$work/away"
# shellcheck disable=SC2046
mv $(files "$victim") "$work/away"
refuses_to_start "$victim" 'no such file.*by one with a new node id' # the advice is the end of the line
mv "$work"/away/* "$DECREE_CLUSTER_DIR/node$victim/data/snapshots/"
cluster start "$victim" || fail "node $victim does not start with its own snapshot"
acks_grow 200

unload
wait_until "the nodes had applied the same" converged 3
for n in 1 2 3; do
	count=$(decree read -c "$client_ini" --node "$n" --consistency stale count) || fail "node $n: read"
	[ "$count" -eq "$(acked)" ] || fail "node $n executed $count commands, $(acked) were acknowledged"
done

note "all of them at once"
for n in 1 2 3; do
	cluster kill "$n"
done
for n in 1 2 3; do
	cluster start "$n" || fail "node $n does not start again"
done
wait_until "there was a leader" leader
count=$(decree read -c "$client_ini" count) || fail "read"
[ "$count" -eq "$(acked)" ] || fail "$count commands after the restart, $(acked) were acknowledged"
