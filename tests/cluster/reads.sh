#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Reads in every consistency, from every node, while lines flow in and the leader stands still or dies. Whatever was
# acknowledged before a read began is in its answer; a stale read promises nothing.
. "$(dirname "$0")/lib.sh"

# read_at CONSISTENCY NODE: how many lines the node says were executed.
read_at() {
	decree read -c "$client_ini" --consistency "$1" --node "$2" --timeout 20000 count
}

# check_at CONSISTENCY NODE
check_at() {
	local before count

	before=$(acked)
	count=$(read_at "$1" "$2") || fail "node $2 did not answer a $1 read"
	[ "$count" -ge "$before" ] ||
		fail "a $1 read at node $2 sees $count lines, but $before were acknowledged before"
}

check_everywhere() {
	local n

	for n in "$@"; do
		check_at linearizable "$n"
		check_at lease "$n"
	done
}

has_lease() {
	[ "$(field "$1" has_lease)" = true ]
}

begin --set cluster.lease_ms=100
load
acks_grow 300
check_everywhere 1 2 3
lead=$(await_leader)
wait_until "node $lead, which leads and hears everybody, had a lease" has_lease "$lead"

note "pause node $lead, the leader, for longer than its lease"
cluster pause "$lead"
wait_until "another node led" another_leads "$lead"
acks_grow 300
check_everywhere $(printf '%s\n' 1 2 3 | grep -vx "$lead")
cluster resume "$lead"
check_everywhere "$lead"

lead=$(await_leader)
note "kill node $lead, the leader"
cluster kill "$lead"
check_everywhere $(printf '%s\n' 1 2 3 | grep -vx "$lead")

note "cut the last pair"
for n in 1 2 3; do
	[ "$n" = "$lead" ] || rest=${rest:+$rest }$n
done
set -- $rest
cluster cut "$1" "$2"
cluster cut "$2" "$1"
[ "$(read_at stale "$1")" -ge 0 ] || fail "node $1 answers no stale read"
if decree read -c "$client_ini" --node "$1" --timeout 1500 count; then
	fail "node $1, alone, answers a linearizable read"
fi
cluster heal
cluster start "$lead"
acks_grow 300
check_everywhere 1 2 3
unload
verify
