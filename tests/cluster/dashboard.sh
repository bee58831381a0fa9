#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The dashboard and the alerts before a real Prometheus: a queue on three nodes works, its leader is killed and comes back; every panel has
# data, and the alerts are evaluated. --picture FILE.png also draws the dashboard, after a longer run.
. "$(dirname "$0")/lib.sh"
picture=
seconds=12
[ "${1:-}" != --picture ] || { picture=$2 seconds=90; }

command -v prometheus >/dev/null || {
	echo "SKIPPED: no prometheus"
	exit 77
}

ask() {
	cluster exec curl -sf "http://127.0.0.1:9090/api/v1/$1"
}

scrapes_all() {
	ask "query?query=sum(up)" | jq -e '.data.result[0].value[1] == "3"'
}

all_panels() {
	# shellcheck disable=SC2086
	cluster exec "$top/scripts/dashboard-picture" --seconds "$SECONDS" --rate 5s "$@" "$top/share/grafana/decree.json"
}

undo() {
	[ -z "${prometheus_pid:-}" ] || kill "$prometheus_pid" 2>/dev/null
	[ -z "${load_pid:-}" ] || kill "$load_pid" 2>/dev/null
}

SECONDS=0
begin --machine queue --mode buffered --set cluster.election_ms=1000 --set metrics.listen=0.0.0.0:9464
cat >"$work/prometheus.yml" <<END
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: ['$top/share/prometheus/decree.rules.yml']
scrape_configs:
  - job_name: decree
    static_configs: [{ targets: ['10.77.1.1:9464', '10.77.1.2:9464', '10.77.1.3:9464'] }]
END
"$top/scripts/cluster" exec prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/prometheus" \
	--web.listen-address=127.0.0.1:9090 --log.level=warn >"$work/prometheus.log" 2>&1 &
prometheus_pid=$!
wait_until "Prometheus scraped all nodes" scrapes_all

# Producers and workers at every node, which go on elsewhere when theirs is gone.
"$top/scripts/cluster" exec python3 - >"$work/beans.log" 2>&1 <<'END' &
import random, socket, threading, time

def talk(connection, command, wanted):
    connection.sendall(command)
    answer = connection.recv(4096)
    while not answer.endswith(b"\r\n"):
        answer += connection.recv(4096)
    assert answer.startswith(wanted), answer
    return answer

def work(node, backlog):
    while True:
        try:
            with socket.create_connection((f"10.77.1.{node}", 11300), timeout=5) as connection:
                while True:
                    talk(connection, b"put 0 0 60 100\r\n" + b"x" * 100 + b"\r\n", b"INSERTED")
                    if random.random() < backlog:
                        continue
                    job = talk(connection, b"reserve\r\n", b"RESERVED").split()[1]
                    talk(connection, b"delete " + job + b"\r\n", b"DELETED")
        except (OSError, AssertionError, IndexError):
            node = node % 3 + 1
            time.sleep(0.1)

for number in range(9):
    threading.Thread(target=work, args=(number % 3 + 1, 0.02), daemon=True).start()
time.sleep(600)
END
load_pid=$!

ops() {
	ask "query?query=max(decree_commands_total)" | jq -e ".data.result[0].value[1] | tonumber > $1"
}

wait_until "the queue worked" ops 200
[ -z "$picture" ] || sleep $((seconds / 3))
lead=$(await_leader)
note "node $lead, the leader, is killed"
cluster kill "$lead"
down_is_pending() {
	ask alerts | jq -e 'any(.data.alerts[]; .labels.alertname == "DecreeNodeDown")'
}
wait_until "the alert knew of it" down_is_pending
wait_until "another one led" another_leads "$lead"
[ -z "$picture" ] || sleep $((seconds / 4))
cluster start "$lead" || fail "node $lead does not start again"
down_is_over() {
	! down_is_pending
}
wait_until "the alert was over" down_is_over
[ -z "$picture" ] || sleep $((seconds / 3))

if [ -n "$picture" ]; then
	all_panels --out "$picture" || fail "a panel is empty"
else
	wait_until "every panel had data" all_panels
	all_panels
fi
ask rules | jq -e '[.data.groups[].rules[]] | length == 9 and all(.[]; .health == "ok")' >/dev/null ||
	fail "a rule cannot be evaluated: $(ask rules)"
note done
