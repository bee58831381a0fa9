#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Clients that send as fast as they can, and noise on top, cost no leader its office: heartbeats and
# votes come first.
. "$(dirname "$0")/lib.sh"

# A slow election: what is tested is who is starved, not how this machine schedules.
begin --set cluster.election_ms=1000
lead=$(await_leader)
ballot=$(field "$lead" ballot)
load
acks_grow 100

note "three clients with 1,024 in flight each"
seq 1 50000 >"$work/flood"
pids=
for i in 1 2 3; do
	decree submit -c "$client_ini" --in-flight 1024 "$work/flood" >"$work/flood$i.log" 2>&1 &
	pids="$pids $!"
done
note "and noise"
cluster exec bash -c '
	port=$(sed -n "s/^base_port = //p" "$DECREE_CONFIG")
	noise=$(head -c 800 /dev/urandom | base64 -w 0)
	for i in $(seq 20000); do
		echo "$noise" >/dev/udp/10.77.0.'"$lead"'/${port:-7400}
	done' 2>/dev/null
for pid in $pids; do
	wait "$pid" || fail "a client was not served: $(tail -n 3 "$work"/flood?.log)"
done
acks_grow 100
[ "$(field "$lead" ballot)" = "$ballot" ] || fail "the leader changed"
unload
verify
