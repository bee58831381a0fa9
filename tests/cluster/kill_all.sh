#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# All three nodes die at once under load. What was acknowledged is on their disks, and the client's
# open commands are executed once, although it sends them again.
. "$(dirname "$0")/lib.sh"

begin
load
acks_grow 1000
note "kill all"
cluster kill 1 &
cluster kill 2 &
cluster kill 3 &
wait -n && wait -n && wait -n || fail "kill failed"
for n in 1 2 3; do
	cluster start $n || fail "node $n does not start again"
done
acks_grow 1000
unload
verify
