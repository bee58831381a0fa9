#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Under load a fourth node is added, the leader is removed, and a node whose disk is gone is replaced by a
# fifth. Nothing that was acknowledged is lost. The lost disk does not come back under its old id.
. "$(dirname "$0")/lib.sh"

member() {
	decree member -c "$client_ini" "$@" || fail "decree member $*"
}

disk_of() {
	cluster logs "$1" | sed -n 's/^disk //p' | tail -n 1
}

begin -n 5 --joiners 2
load
acks_grow 300

note "node 4 is added"
member add 4 "$(disk_of 4)"
member list | grep -q '4$' || fail "node 4 does not vote"
members_are() {
	[ "$(field "$1" 'members | map("\(.node) \(.member)") | join(",")')" = "$2" ]
}
wait_until "node 4 said that it votes" members_are 4 '1 voter,2 voter,3 voter,4 voter'
[ "$(field 4 member)" = voter ] || fail "node 4 calls itself $(field 4 member)"
[ "$(field 4 epoch)/$(field 4 q1)/$(field 4 q2)" = 3/3/3 ] || fail "node 4 is in another epoch"
[ "$(field 5 member)" = outsider ] || fail "node 5 calls itself $(field 5 member)"
acks_grow 300

removed=$(await_leader)
note "node $removed, the leader, is removed"
member remove "$removed"
wait_until "node $removed ended" is_down "$removed"
cluster logs "$removed" | grep -q 'was removed from the cluster' || fail "node $removed does not say why"
wait_until "another node led" leader
acks_grow 300

lead=$(await_leader)
for lost in 1 2 3; do
	[ "$lost" -eq "$removed" ] || [ "$lost" -eq "$lead" ] || break
done
note "node $lost loses its disk, and comes back with an empty one"
cluster kill "$lost"
rm -rf "$DECREE_CLUSTER_DIR/node$lost/data"
"$DECREE_BIN/decree" format -c "$DECREE_CLUSTER_DIR/node$lost/decree.ini" >/dev/null || fail "format"
cluster start "$lost" || true # it may be turned away before it is ready
acks_grow 300
wait_until "node $lost ended" is_down "$lost"
cluster logs "$lost" | grep -q "the cluster knows another disk\|remember more of this node" ||
	fail "node $lost does not say why"
# A supervisor must not try that again and again: 2 is what the units do not restart after.
status=0
cluster exec-on "$lost" timeout 60 "$DECREE_BIN/decreed" --machine=log -c "$DECREE_CLUSTER_DIR/node$lost/decree.ini" \
	>"$work/again" 2>&1 || status=$?
[ $status -eq 2 ] || fail "node $lost ended with status $status, not 2: $(cat "$work/again")"

note "node 5 takes its place"
member replace "$lost" 5 "$(disk_of 5)"
acks_grow 300
unload
left=
for n in 1 2 3 4 5; do
	[ "$n" -eq "$removed" ] || [ "$n" -eq "$lost" ] || left="$left $n"
done
verify $left
