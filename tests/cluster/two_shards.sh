#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two shards behind ports of one queue: frames of both get through, and each way to look says how.
. "$(dirname "$0")/lib.sh"
steering='one queue, handed over'

telemetry_says() {
	local path

	path=$(cluster logs 1 | sed -n 's/.*notice: telemetry at //p')
	cluster exec-on 1 python3 - "$path" <<'END' | jq -e ".[\"/decree/status\"].steering == \"$steering\"" >/dev/null
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.recv(1024)
s.send(b"/decree/status")
print(s.recv(65536).decode())
END
}

is_served() {
	cluster exec-on 1 curl -s http://127.0.0.1:9464/metrics |
		grep -q "^decree_node_info{.*,steering=\"$steering\"} 1\$"
}

begin --mode memory --set cluster.shards=2 --set cluster.groups=2 --set metrics.listen=127.0.0.1:9464

note "a group on each shard commits"
seq 2000 >"$work/lines"
for group in 0 1; do
	decree submit -c "$client_ini" --group $group --in-flight 64 "$work/lines" >"$work/submit.log" 2>&1 ||
		fail "group $group does not commit"
	grep -q '2000' "$work/submit.log" || fail "group $group did not commit all"
done

note "the log, the metrics, the telemetry, and decree check say how frames get to their shards"
for n in 1 2 3; do
	[ "$(cluster logs "$n" | grep -c "notice: steering: $steering\$")" -eq 1 ] || fail "node $n's log does not say it once"
done
wait_until "metrics said it" is_served
telemetry_says || fail "telemetry does not say it"
cluster kill 1
cluster exec-on 1 "$DECREE_BIN/decree" check -c "$DECREE_CLUSTER_DIR/node1/decree.ini" >"$work/check" 2>&1
grep -q "ok    network     steering: $steering\$" "$work/check" || { cat "$work/check"; fail "decree check does not say it"; }
