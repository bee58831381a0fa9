#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A follower's death costs nobody anything: the same leader at the same ballot goes on, and the follower
# catches up when it is back.
. "$(dirname "$0")/lib.sh"

# A slow election: what is tested is who is starved, not how this machine schedules.
begin --set cluster.election_ms=1000
load
acks_grow 500
lead=$(await_leader)
ballot=$(field "$lead" ballot)
for follower in $(followers); do
	note "kill node $follower, a follower"
	cluster kill "$follower"
	acks_grow 500
	cluster start "$follower" || fail "node $follower does not start again"
	wait_until "node $follower had caught up" has_applied "$follower" "$(field "$lead" applied)"
done
[ "$(field "$lead" ballot)" = "$ballot" ] || fail "the leader changed"
unload
verify
