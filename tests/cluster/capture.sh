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

# dissects FILE TYPES: there are messages of these types, all that is UDP is decree's, whole or cut by the capture only, and what it shows is what goes on: ballots of these nodes, slots near
# those that are chosen, no commit index beyond what is chosen by now.
dissects() {
	local chosen

	chosen=$(rows | jq -es 'map(.chosen) | max') || fail "no status"
	tshark -n -r "$1" -Y 'udp && !icmp' -X "lua_script:$top/share/wireshark/decree.lua" -T fields -e _ws.col.Protocol -e decree.type \
		-e decree.ballot -e decree.slot -e decree.commit -e decree.malformed -e decree.unknown -e _ws.lua.error \
		-e _ws.malformed >"$work/dissected" 2>"$work/tshark" || fail "tshark: $(cat "$work/tshark")"
	awk -F '\t' -v chosen="$chosen" -v types="$2" '
		function wrong(what) { print "frame " NR ": " what ": " $0; failed = 1; exit 1 }
		$1 != "DECREE" { wrong("of another protocol") }
		$6 $7 $8 $9 != "" { wrong("malformed") }
		{ count = split($2, here, ","); for (i = 1; i <= count; i++) seen[here[i]]++ }
		$2 == 5 {
			if ($4 + 0 < 1 || $4 + 0 > chosen + 1024) wrong("no plausible slot")
			if ($3 !~ /^[1-9][0-9]*\.[123]$/) wrong("no plausible ballot")
		}
		{ n = split($5, commits, ","); for (i = 1; i <= n; i++) if (commits[i] + 0 > chosen) wrong("commit beyond " chosen) }
		END {
			if (failed) exit 1
			split(types, wanted, " ")
			for (i in wanted) if (seen[wanted[i]] < 3) { print "too few messages of type " wanted[i]; exit 1 }
			for (type in seen) printf "%s x %s  ", type, seen[type]
			print ""
		}' "$work/dissected" || fail "what it shows is wrong"
}

capture() {
	decree capture -c "$client_ini" "$@"
}

is_captured() {
	[ -s "$(captured "$1")" ]
}

begin --transport memif --set cluster.election_ms=1000
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
	dissects "$file" "5 6 10 11 64 66"
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

command -v dumpcap >/dev/null || exit 0
# Only what arrives there: DPDK sends past the kernel's taps.
note "a port that the kernel sees: what is caught on a follower's interface is dissected as well"
cluster down
begin --set cluster.election_ms=1000
load
acks_grow 100
read -r other _ < <(followers | tr '\n' ' ')
cluster exec-on "$other" dumpcap -q -i eth0 -a packets:400 -w - >"$work/eth0.pcapng" 2>"$work/dumpcap" ||
	fail "dumpcap: $(cat "$work/dumpcap")"
unload
dissects "$work/eth0.pcapng" "5 10"
note done
