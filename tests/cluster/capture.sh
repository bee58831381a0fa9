#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# decree capture: the frames of a port that no other program sees, in a file that Wireshark's tools read; under load, beside
# another operator's requests, and with all that may be wrong.
. "$(dirname "$0")/lib.sh"

captured() {
	echo "$DECREE_CLUSTER_DIR/node$1/data/capture.pcapng"
}

# frames FILE [DISPLAY FILTER]: how many there are
frames() {
	tshark -n -r "$1" -Y "${2:-frame}" -T fields -e frame.number 2>"$work/tshark" | wc -l
}

capture() {
	decree capture -c "$client_ini" "$@"
}

is_captured() {
	[ -s "$(captured "$1")" ]
}

begin --transport memif
load
lead=$(await_leader)
read -r other _ < <(followers | tr '\n' ' ')

note "the leader's frames, both ways, while it works"
capture --node "$lead" --seconds 2 >"$work/said" || fail "no capture: $(cat "$work/said")"
cat "$work/said"
file=$(captured "$lead")
[ "$(stat -c %a "$file")" = 600 ] || fail "others may read the file"
if command -v tshark >/dev/null; then
	count=$(sed -n 's/^node [0-9]*: \([0-9]*\) frames, 0 left out .*/\1/p' "$work/said")
	[ "$(frames "$file")" = "$count" ] || fail "tshark finds $(frames "$file") frames: $(cat "$work/tshark")"
	for way in 1 2; do
		for port in 0 1 2; do
			[ "$(frames "$file" "frame.packet_flags_direction == $way &&
				frame.interface_name == \"node$lead-shard0-port$port\"")" -gt 20 ] ||
				fail "port $port has next to no frames of direction $way"
		done
	done
	# Its clock is the host's.
	tshark -n -r "$file" -c 1 -T fields -e frame.time_epoch 2>/dev/null |
		awk -v now="$(date +%s)" '{ exit !(now - $1 >= 0 && now - $1 < 120) }' || fail "the times are wrong"
else
	note "SKIPPED: no tshark, so nobody reads the file"
fi

note "one at a time, and another request of an operator meanwhile"
capture --node "$other" --seconds 600 >"$work/long" 2>&1 &
long=$!
wait_until "the capture had begun" is_captured "$other"
capture --node "$other" >"$work/second" 2>&1 && fail "two captures at once"
grep -q 'under way already' "$work/second" || fail "no word of why: $(cat "$work/second")"
decree member list -c "$client_ini" >/dev/null || fail "a capture holds up the group"
capture --node "$other" --stop || fail "it cannot be stopped"
wait "$long" || fail "the capture that was stopped failed: $(cat "$work/long")"
cat "$work/long"
capture --node "$other" --stop | grep -q 'no capture' || fail "what ends if nothing is under way?"

note "it is bounded"
capture --node "$other" --seconds 60 --mib 1 --snap 9216 | tee "$work/said" | grep -q 'the file is full' ||
	fail "no end: $(cat "$work/said")"
[ "$(stat -c %s "$(captured "$other")")" -le 1048576 ] || fail "the file is larger than was allowed"

note "a file that cannot be made is a clear failure, and the node goes on"
rm -f "$(captured "$other")"
mkdir -p "$(captured "$other")"
capture --node "$other" --seconds 1 >"$work/said" 2>&1 && fail "a directory was no obstacle"
grep -q 'removing the last capture.pcapng: Is a directory' "$work/said" || fail "it says: $(cat "$work/said")"
rmdir "$(captured "$other")"

note "a node that is killed in the midst of it comes back and forgets it"
capture --node "$other" --seconds 600 >/dev/null 2>&1 &
long=$!
wait_until "the capture had begun" is_captured "$other"
kill "$long"
wait "$long" 2>/dev/null
cluster kill "$other"
cluster start "$other" cluster.admin=no || fail "node $other does not start again"
capture --node "$other" --seconds 1 >"$work/said" 2>&1 && fail "admin = no allows it"
grep -q 'admin = no' "$work/said" || fail "it says: $(cat "$work/said")"
grep -q 'an operator has this node.s frames captured' "$DECREE_CLUSTER_DIR/node$other/log" || fail "no line in the log"

unload
verify
note done
