#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Links that are cut, both ways and one way only. As long as some node has working round trips to a
# quorum, work goes on; when the links are back, all catch up.
. "$(dirname "$0")/lib.sh"

begin
load
acks_grow 300
lead=$(await_leader)
set -- $(followers)

note "leader $lead and follower $1 do not hear each other"
cluster cut "$lead" "$1"
cluster cut "$1" "$lead"
acks_grow 500
cluster heal
acks_grow 300

lead=$(await_leader)
set -- $(followers)
note "follower $1 does not hear leader $lead"
cluster cut "$lead" "$1"
acks_grow 500
cluster heal
acks_grow 300

lead=$(await_leader)
set -- $(followers)
note "leader $lead hears nobody, but is heard: it must step down"
cluster cut "$1" "$lead"
cluster cut "$2" "$lead"
wait_until "another node led" another_leads "$lead"
acks_grow 500
cluster heal
acks_grow 300

lead=$(await_leader)
set -- $(followers)
note "leader $lead is alone"
for n in "$@"; do
	cluster cut "$n" "$lead"
	cluster cut "$lead" "$n"
done
wait_until "another node led" another_leads "$lead"
acks_grow 500
cluster heal
acks_grow 300
unload
verify
