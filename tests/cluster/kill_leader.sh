#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A leader that dies by kill -9 under load is replaced, comes back, and catches up. Twice.
. "$(dirname "$0")/lib.sh"

begin
load
for round in 1 2; do
	acks_grow 500
	lead=$(await_leader)
	note "kill node $lead, the leader"
	cluster kill "$lead"
	acks_grow 500
	another_leads "$lead" || fail "nobody took over"
	cluster start "$lead" || fail "node $lead does not start again"
	acks_grow 500
done
unload
verify
