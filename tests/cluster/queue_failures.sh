#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Clients of nodes that fail. A leader dies under pipelined connections: whoever is not answered is disconnected, and what was acknowledged
# is there. A job that a dead node's worker was given comes back. A node that slept too long cannot touch what others hold now.
. "$(dirname "$0")/queue_lib.sh"

begin --machine queue
lead=$(await_leader)
read -r one other <<<"$(followers | xargs)"

note "node $lead, the leader, dies under 120 connections"
on_client crowd.py "$(addresses "$lead"),$(addresses "$other"),$(addresses "$one")" 120 "$work/busy" "$work/killed" &
crowd=$!
wait_until "all were at it" test -e "$work/busy"
cluster kill "$lead"
wait_until "another node led" another_leads "$lead"
touch "$work/killed"
wait $crowd || fail "the crowd was not served"
cluster start "$lead" || fail "node $lead does not start again"
wait_until "all nodes were there again" converged

lead=$(await_leader)
read -r one other <<<"$(followers | xargs)"
note "a worker of node $other waits, and a job comes when the node is dead"
talk waiter "$(addresses "$other")"
say waiter 'watch wait' 'ignore default' 'reserve'
waits() {
	beans ask "$(addresses "$one")" 'stats-tube wait' | grep -q 'current-waiting: 1'
}
wait_until "the worker waited" waits
cluster kill "$other"
beans put "$(addresses "$one")" wait 8 1 "$work/acked" || fail "node $one takes no jobs"
beans work "$(addresses "$one")" wait 1 "$work/done" || fail "the job did not come back"
grep -qx 8 "$work/done" || fail "another job came"
wait_until "the dead node's connection was closed" heard waiter GONE
cluster start "$other" || fail "node $other does not start again"
wait_until "all nodes were there again" converged

lead=$(await_leader)
read -r one other <<<"$(followers | xargs)"
note "node $other sleeps until its clients' jobs are somebody else's"
beans put "$(addresses "$one")" held 7 1 "$work/acked" || fail "node $one takes no jobs"
talk sleeper "$(addresses "$other")"
talk idle "$(addresses "$other")"
say sleeper 'watch held' 'ignore default' 'reserve'
say idle 'list-tube-used'
wait_until "a client of node $other had the job" heard sleeper RESERVED
wait_until "another one was there" heard idle USING
job=$(sed -n 's/^RESERVED \([0-9]*\) .*/\1/p' "$work/sleeper.out")
cluster pause "$other"
say sleeper "delete $job" "touch $job"
talk heir "$(addresses "$one")"
say heir 'watch held' 'ignore default' 'reserve'
wait_until "the job had another holder" heard heir "RESERVED $job "
cluster resume "$other"
wait_until "the clients of node $other were disconnected" heard sleeper GONE
wait_until "the clients of node $other were disconnected" heard idle GONE
! heard sleeper DELETED || fail "a job was deleted by somebody who did not hold it any more"
! heard sleeper TOUCHED || fail "a job was touched by somebody who did not hold it any more"
say heir "touch $job" "delete $job"
wait_until "its holder had touched it" heard heir TOUCHED
wait_until "its holder had deleted it" heard heir DELETED

note "node $other serves again"
beans put "$(addresses "$other")" last 9 1 "$work/acked" || fail "node $other takes no jobs"
beans work "$(addresses "$other")" last 1 "$work/done" || fail "node $other gives no jobs"
