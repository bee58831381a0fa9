#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Records that rot while their nodes run. The log reads itself again, finds them, and writes them again, on one node after
# the other: so later damage to the same records on every other node loses nothing, and no node is in doubt.
. "$(dirname "$0")/lib.sh"

# overwrite FILE OFFSET BYTES: with noise
overwrite() {
	dd if=/dev/urandom of="$1" bs=512 seek=$(($2 / 512)) count=$(($3 / 512)) conv=notrunc status=none
}

folder() {
	echo "$DECREE_CLUSTER_DIR/node$1/data/shard-0"
}

# rot NODE: forty places of its log, the same of every node
rot() {
	local i

	for i in $(seq 1 40); do
		overwrite "$(folder "$1")/segments" $((i * 3 * 512)) 512
	done
}

is_mended() {
	[ "$(field "$1" log_rewritten)" -ge 20 ] && [ "$(field "$1" log_damaged)" -eq 0 ]
}

# Read as a whole twice since now: the first time may have begun before.
was_scrubbed() {
	[ "$(field "$1" log_scrubs)" -ge "$2" ]
}

begin
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
	before=$(field "$node" log_rewritten)
	wait_until "node $node had read its log again" was_scrubbed "$node" \
		$(($(field "$node" log_scrubs) + 2))
	[ "$(field "$node" log_rewritten)" -eq "$before" ] || fail "node $node goes on and on"
done

note "with the same records damaged everywhere, each node finds them in its own log"
for node in 1 2 3; do
	cluster kill "$node"
done
for node in 1 2 3; do
	cluster start "$node" || fail "node $node does not start"
done
wait_until "a leader was there" leader
for node in 1 2 3; do
	[ "$(field "$node" log_doubtful)" = false ] || fail "node $node is in doubt"
done
load
acks_grow 300
unload
verify
