#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The leader's disk stops answering: no error, no end. The leader hands over, work goes on, and the node stays up. When
# the disk answers again the node catches up and its votes count. Nothing acknowledged is lost.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/disks.sh"

victim=2

# made_leader NODE: it leads, or is asked to once more.
made_leader() {
	[ "$(leader)" -eq "$1" ] || { decree transfer -c "$client_ini" "$1" && [ "$(leader)" -eq "$1" ]; }
}

disks_or_skip
begin --no-start --log-bytes $((16 << 20)) --set local.segment_bytes=2M --set cluster.election_ms=1000
disk_make disk 192M
load
cluster start 1 && cluster start 3 || fail "nodes 1 and 3 do not start"
disk_attach disk nofilter
live_on $victim disk
cluster start $victim || fail "node $victim does not start"
wait_until "there was a leader" leader
acks_grow 300

for round in 1 2; do
	note "the leader's disk hangs, round $round"
	wait_until "node $victim led" made_leader $victim
	acks_grow 100
	kill -STOP "${nbdkit_pid[disk]}"
	wait_until "another node led" another_leads $victim
	acks_grow 300
	is_down $victim && fail "node $victim has ended: $(said_since_start $victim)"
	said_since_start $victim | grep -q "disk has not answered for .* look at the device" ||
		fail "node $victim does not say that its disk hangs"
	field $victim role >/dev/null || fail "node $victim does not answer while its disk hangs"

	note "and answers again"
	kill -CONT "${nbdkit_pid[disk]}"
	wait_until "node $victim had caught up" caught_up $victim
	said_since_start $victim | grep -q "disk answers again" || fail "node $victim does not say that it is over"
done

note "its votes count again: the other follower dies"
other=$([ "$(leader)" -eq 1 ] && echo 3 || echo 1)
cluster kill "$other" || fail "kill"
acks_grow 300
cluster start "$other" || fail "node $other does not start again"
unload
verify
