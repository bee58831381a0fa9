#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A process that stands still (SIGSTOP: a virtual machine's pause, a very long stall) is like a dead
# one, except that it comes back believing in the past.
. "$(dirname "$0")/lib.sh"

begin
load
acks_grow 300
set -- $(followers)
note "pause node $1, a follower"
cluster pause "$1"
acks_grow 500
cluster resume "$1"
acks_grow 300

lead=$(await_leader)
note "pause node $lead, the leader"
cluster pause "$lead"
wait_until "another node led" another_leads "$lead"
acks_grow 500
cluster resume "$lead"
acks_grow 300
unload
verify
