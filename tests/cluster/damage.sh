#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Logs with damage in them: records that rot, records of which nothing is left, on one node and then on every one
# at other places. The nodes start, say what they miss, take it from each other, and nothing acknowledged is lost.
. "$(dirname "$0")/lib.sh"

# says NODE PATTERN: the log of that node's process
says() {
	grep -q "$2" "$DECREE_CLUSTER_DIR/node$1/log"
}

# slots_reach N: the damage below lies far enough before the end of every log that something names what it hits
slots_reach() {
	wait_until "$1 slots were chosen" has_applied "$(leader)" "$1"
}

begin
load --in-flight 4 # many slots of few commands
slots_reach 500

note "records of one node rot"
victim=$(set -- $(followers) && echo "$1")
cluster kill "$victim"
for i in $(seq 1 40); do
	overwrite "$(log_folder "$victim")/segments" $((i * 3 * 512)) 512
done
cluster start "$victim" || fail "node $victim does not start"
says "$victim" 'is damaged' || fail "node $victim says nothing of the damage"
acks_grow 300
wait_until "node $victim had caught up" caught_up "$victim"

note "nothing names what another node has lost"
victim=$(followers | grep -vx "$victim" | head -1)
cluster kill "$victim"
overwrite "$(log_folder "$victim")/segments" $((200 * 512)) $((100 * 512))
overwrite "$(log_folder "$victim")/identifiers" 0 65536
cluster start "$victim" || fail "node $victim does not start"
says "$victim" 'nothing says which slots' || fail "node $victim says nothing of the loss"
acks_grow 300
wait_until "node $victim had caught up" caught_up "$victim"

note "every node has damage, at places of its own"
slots_reach 1200
unload
for node in 1 2 3; do
	cluster kill "$node"
done
for node in 1 2 3; do
	for i in $(seq 1 20); do
		overwrite "$(log_folder "$node")/segments" $((300 * 512 + (i * 3 + node) * 9 * 512)) 1536
	done
done
for node in 1 2 3; do
	cluster start "$node" || fail "node $node does not start"
done
wait_until "a leader was there" leader
load
acks_grow 300
unload
verify
