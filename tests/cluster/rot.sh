#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Records that rot while their nodes run. The log reads itself again, finds them, and writes them again, on one node after
# the other: so later damage to the same records on every other node loses nothing, and no node is in doubt.
. "$(dirname "$0")/lib.sh"

# rot NODE: forty places of its log, the same of every node
rot() {
	local i

	for i in $(seq 1 40); do
		overwrite "$(log_folder "$1")/segments" $((i * 3 * 512)) 512
	done
}

is_mended() {
	[ "$(field "$1" log_rewritten)" -ge 20 ] && [ "$(field "$1" log_damaged)" -eq 0 ]
}

# Read as a whole twice since now: the first time may have begun before.
was_scrubbed() {
	[ "$(field "$1" log_scrubs)" -ge "$2" ]
}

scrub() {
	wait_until "node $1 had read its log again" was_scrubbed "$1" $(($(field "$1" log_scrubs) + 2))
}

# is_replaced NODE SLOT: by a newer one that is whole
is_replaced() {
	[ "$(field "$1" snapshot)" -gt "$2" ] && [ "$(field "$1" snapshot_damaged)" = false ]
}

begin --set local.scrub_rate_mb=4
load
acks_grow 500
unload

for node in 1 2 3; do
	note "records of node $node rot while it runs"
	rot "$node"
	wait_until "node $node had written them again" is_mended "$node"
	cluster logs "$node" | grep -q 'cannot be read any more' ||
		fail "node $node says nothing of the damage"
done

note "there is nothing more to mend"
for node in 1 2 3; do
	scrub "$node" # what the pass that is under way has not come to yet
	before=$(field "$node" log_rewritten)
	scrub "$node"
	[ "$(field "$node" log_rewritten)" -eq "$before" ] || fail "node $node goes on and on"
done

note "with the same records damaged everywhere, each node alone finds all of them in its own log"
applied=$(field 1 applied)
for node in 1 2 3; do
	cluster kill "$node"
done
for node in 1 2 3; do
	cluster start "$node" || fail "node $node does not start"
	cluster logs "$node" | grep -q 'is damaged' || fail "node $node has not found the damage"
	wait_until "node $node had applied everything" has_applied "$node" "$applied"
	[ "$(field "$node" log_damaged)" -eq 0 ] || fail "node $node misses records"
	[ "$(field "$node" log_doubtful)" = false ] || fail "node $node is in doubt"
	cluster kill "$node"
done
for node in 1 2 3; do
	cluster start "$node" || fail "node $node does not start"
done
wait_until "a leader was there" leader
load
acks_grow 300
unload
verify

note "the snapshot of a node rots"
decree snapshot -c "$client_ini" >"$work/snapshot.log" 2>&1 || fail "no snapshot"
victim=$(await_leader)
old=$(field "$victim" snapshot)
[ "$old" -gt 0 ] || fail "the leader has no snapshot"
overwrite "$DECREE_CLUSTER_DIR/node$victim/data/snapshots/snapshot-0-$old" 4096 512
wait_until "another one had taken its place" is_replaced "$victim" "$old"
cluster logs "$victim" | grep -q "the snapshot of slot $old cannot be read" ||
	fail "node $victim says nothing of its snapshot"
