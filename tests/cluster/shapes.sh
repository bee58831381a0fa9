#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lines of every shape: empty, one byte, not UTF-8, NUL bytes, exactly as large as a slot, many times
# larger; and the leader dies among them.
. "$(dirname "$0")/lib.sh"

begin
python3 - "$work/text" <<'END'
import random
import sys

random.seed(1)
with open(sys.argv[1], "wb") as file:
    for i in range(6000):
        size = random.choice((0, 0, 1, 8, 64, 300, 1100, 1150, 1200, 1250, 1300, 1400, 1500, 4000))
        if i % 100 == 0:
            size = random.choice((20000, 60000))
        file.write(bytes(random.choice((0, 9, 13, 32, 65, 128, 195, 255)) for _ in range(size)) + b"\n")
    file.write(b"no newline at the end")
END
# Half of them, and the rest when the leader is dead: however fast the machine is, there are lines to come.
both_halves() {
	head -n 3000 "$work/text"
	while [ -d "$work" ] && [ ! -e "$work/is_dead" ]; do sleep 0.02; done
	tail -n +3001 "$work/text"
}

lead=$(await_leader)
decree submit -c "$client_ini" --in-flight 64 --acks "$work/acks" <(both_halves) >"$work/submit.log" 2>&1 &
load_pid=$!
acks_grow 300
cluster kill "$lead"
touch "$work/is_dead"
acks_grow 1500
cluster start "$lead" || fail "node $lead does not start again"
wait_until "all lines were acknowledged" load_ended
wait "$load_pid" || fail "decree submit ended with status $?"
load_pid=
[ "$(acked)" -eq 6001 ] || fail "$(acked) acknowledgements for 6001 lines"
verify
