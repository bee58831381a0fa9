#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Metrics: what each node of a queue serves at /metrics is the text format to the letter, says what `decree status` says,
# and goes on whoever else is connected.
. "$(dirname "$0")/lib.sh"
here=$(dirname "$0")

scrape() {
	cluster exec-on "$1" python3 "$here/metrics.py" 127.0.0.1:9464 "${@:2}"
}

# agrees NODE: at rest, the two ways to look say the same.
agrees() {
	decree status -c "$client_ini" --json 2>/dev/null | jq -c "select(.node == $1)" >"$work/row$1" &&
		scrape "$1" once "$work/row$1"
}

counts_jobs() {
	cluster exec-on 2 curl -s http://127.0.0.1:9464/metrics >"$work/text" &&
		grep -qE '^decree_queue_jobs\{cluster_id="[0-9a-f]+",node="2",state="ready"\} 3$' "$work/text" &&
		grep -qE '^decree_queue_commands_total\{cluster_id="[0-9a-f]+",node="2",command="put"\} 3$' "$work/text"
}

# telemetry_agrees NODE: DPDK's telemetry says what /metrics says.
telemetry_agrees() {
	local path

	path=$(cluster logs "$1" | sed -n 's/.*notice: telemetry at //p' | tail -n 1)
	[ -n "$path" ] && cluster exec-on "$1" python3 "$here/telemetry.py" "$path" 127.0.0.1:9464
}

note "three nodes of a queue, under --sandbox"
export DECREE_NODE_OPTIONS=--sandbox
begin --machine queue --set metrics.listen=127.0.0.1:9464

note "a crowd of scrapers, slow readers and garbage, while jobs are put"
cluster exec python3 - <<'END' || fail "jobs could not be put"
import socket
s = socket.create_connection(("10.77.1.1", 11300))
for i in range(3):
    s.sendall(b"put 0 0 60 5\r\nhello\r\n")
    assert s.recv(100).startswith(b"INSERTED")
END
scrape 1 crowd 4 || fail "a scraper was told something wrong"
wait_until "the queue's numbers had arrived" counts_jobs
if command -v promtool >/dev/null; then
	promtool check metrics <"$work/text" || fail "promtool does not like it"
fi

note "what it says is what decree status says"
for n in 1 2 3; do
	wait_until "node $n agreed with itself" agrees "$n"
done

note "DPDK's telemetry says the same"
for n in 1 2 3; do
	wait_until "node $n's telemetry agreed" telemetry_agrees "$n"
done

note "decree top fits 80 columns, and says the same to scripts"
decree top -c "$client_ini" --once >"$work/top" || fail "decree top failed"
cat "$work/top"
[ "$(wc -L <"$work/top")" -le 80 ] || fail "it is wider than 80 columns"
grep -q '3 of 3 nodes' "$work/top" || fail "it does not see three nodes"
! grep -q 'NOBODY LEADS' "$work/top" || fail "it does not see who leads"
[ "$(grep -c ' leader ' "$work/top")" -eq 1 ] || fail "it does not see one leader"
# The sessions of those who have left end meanwhile, which are commands, too.
top_agrees() {
	decree top -c "$client_ini" --json | jq -es --slurpfile status <(rows) 'length == 3
		and all(.[]; .answers and (.peers | length) == 2 and .metrics["decree_log_full"] == 0)
		and (map(.metrics["decree_applied_slot"]) | unique) == ($status | map(.applied) | unique)
		and (map(.metrics["decree_stage_seconds{stage=\"durable\"}"]) | min) > 0
		and all(.[]; .metrics["decree_frames_dropped_total{reason=\"tag\"}"] == 0)'
}
wait_until "decree top --json says what decree status says" top_agrees

note "a port that is in use is a clear refusal"
cluster kill 3
cluster exec-on 3 python3 -c 'import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 9464)); s.listen(); print("up", flush=True); time.sleep(60)' >"$work/taken" &
taker=$!
wait_until "the port was taken" grep -q up "$work/taken"
refuses_to_start 3 'metrics\] listen = 127.0.0.1:9464: this port is in use'
kill "$taker"
wait "$taker" 2>/dev/null
cluster start 3 metrics.listen=127.0.0.1:0 || fail "node 3 did not come back"
cluster logs 3 | tail -n 20 | grep -q 'metrics at http://127.0.0.1:[1-9]' || fail "no word of where the metrics are"
note "decree top says that nobody leads"
nobody_leads() {
	decree top -c "$client_ini" --once >"$work/top" && grep -q 'NOBODY LEADS GROUP 0' "$work/top"
}
cluster kill 1
cluster kill 2
wait_until "decree top said so" nobody_leads
grep -q '1 of 3 nodes' "$work/top" && [ "$(grep -c 'no answer' "$work/top")" -eq 2 ] || fail "it says: $(cat "$work/top")"
note done
