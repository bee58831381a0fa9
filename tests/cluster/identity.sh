#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An old copy of a data directory, and two processes with one identity. The others find and refuse both; what was
# acknowledged stays, and the rest of the cluster goes on.
. "$(dirname "$0")/lib.sh"

begin -n 4 --joiners 1
load
acks_grow 300
victim=$(set -- $(followers) && echo "$1")
home=$DECREE_CLUSTER_DIR/node$victim

# somebody_says PATTERN: in the log of a node other than the victim.
somebody_says() {
	local n

	for n in 1 2 3 4; do
		[ "$n" -eq "$victim" ] || ! cluster logs "$n" | grep -q "$1" || return 0
	done
	return 1
}

# Those that nothing was done to.
others_agree() {
	rows | jq -es --argjson victim "$victim" --argjson real "$real" \
		'map(select(.node != $victim and .node != $real)) | (map([.applied, .digest]) | unique | length) == 1'
}

note "the disk of node $victim, as it was"
cluster kill "$victim"
cp -r --sparse=always "$home/data" "$work/backup"
cluster start "$victim" || fail "node $victim does not start again"
wait_until "node $victim had caught up" has_applied "$victim" "$(field "$(leader)" applied)"
acks_grow 300
cluster kill "$victim"
rm -rf "$home/data"
cp -r --sparse=always "$work/backup" "$home/data"
cluster start "$victim" || true # it may be turned away before it is ready
wait_until "node $victim ended" is_down "$victim"
cluster logs "$victim" | grep -q "remember more of this node\|two processes run with this node's identity" ||
	fail "node $victim does not say why"
acks_grow 300

note "the same disk, put back while nobody runs"
for n in 1 2 3; do
	[ "$n" -eq "$victim" ] || cluster kill "$n"
done
rm -rf "$home/data"
cp -r --sparse=always "$work/backup" "$home/data"
cluster start "$victim" || true # the same
for n in 1 2 3; do
	[ "$n" -eq "$victim" ] || cluster start "$n" || fail "node $n does not start again"
done
wait_until "node $victim ended again" is_down "$victim"
acks_grow 300

note "a node with a new number takes its place"
decree member -c "$client_ini" replace "$victim" 4 "$(cluster logs 4 | sed -n 's/^disk //p' | tail -n 1)" ||
	fail "decree member replace"
acks_grow 300

note "a twin on another host"
lead=$(await_leader)
for real in 1 2 3 4; do
	[ "$real" -eq "$victim" ] || [ "$real" -eq "$lead" ] || break
done
cluster kill "$real"
cp -r --sparse=always "$DECREE_CLUSTER_DIR/node$real/data" "$work/twin"
cluster start "$real" || fail "node $real does not start again"
wait_until "node $real had caught up" has_applied "$real" "$(field "$lead" applied)"
sed -e "s|^data_dir = .*|data_dir = $work/twin|" "$DECREE_CLUSTER_DIR/node$real/decree.ini" >"$home/decree.ini"
cluster start "$victim" || true # the same
wait_until "the twin under the same address ended" is_down "$victim"
cluster logs "$victim" | grep -q "another host (.*) has the address of this node.* Stop the other one" ||
	fail "the twin does not say why"
acks_grow 300

note "a twin under another address"
sed -i "s|^ip = 10.77.0.$real\$|ip = 10.77.0.50|" "$home/decree.ini"
cluster start "$victim" || true # the same
wait_until "somebody said that there are two" somebody_says 'second process under one node id\|two processes run as'
acks_grow 300
unload
left=
for n in 1 2 3 4; do
	[ "$n" -eq "$victim" ] || [ "$n" -eq "$real" ] || left="$left $n"
done
wait_until "the others had applied the same" others_agree
for n in $left; do
	count=$(decree read -c "$client_ini" --node "$n" --consistency stale count) || fail "node $n: read"
	[ "$count" -eq "$(acked)" ] || fail "node $n executed $count commands, $(acked) were acknowledged"
done
