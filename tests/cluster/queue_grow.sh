#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A queue that nobody configured becomes one of three nodes, as docs/operating.md tells it: its jobs are there afterwards, on every
# node, also when the first one is gone.
. "$(dirname "$0")/queue_lib.sh"

# folder NODE: where its configuration, keys and data are
folder() {
	echo "$DECREE_CLUSTER_DIR/node$1"
}

alone=
undo() {
	[ -z "$alone" ] || kill -9 "$alone" 2>/dev/null
}

disk_of() {
	sed -n 's/^disk //p' "$work/format$1"
}

# The hosts of a cluster; what stands in the first one's folder goes, but for what scripts/cluster keeps there.
begin -n 3 --joiners 2 --machine queue --no-start
for n in 1 2 3; do
	rm -r "$(folder $n)/data" "$(folder $n)/decree.ini"
done

note "one node, made by decreed itself"
: >"$work/ready"
"$top/scripts/cluster" exec-on 1 "$DECREE_BIN/decreed" -b "$(folder 1)" --ready-fd 9 9>"$work/ready" 2>"$work/alone" &
alone=$!
is_ready() {
	kill -0 $alone && [ -s "$work/ready" ]
}
wait_until "the queue was ready" is_ready
cluster exec-on 1 python3 "$top/tests/cluster/beans.py" put 127.0.0.1:11300 jobs 1 100 "$work/acked" || fail "a put"
kill $alone
wait $alone || fail "the status after SIGTERM is $?: $(cat "$work/alone")"
alone=

note "three configurations"
sed -e 's/^ip = .*/ip = 10.77.0.1\n[node 2]\nip = 10.77.0.2\njoins = yes\n[node 3]\nip = 10.77.0.3\njoins = yes/' \
	-e 's/^idle = sleep$/port = net_af_packet0,iface=eth0\n[queue]\nlisten = 10.77.1.1:11300/' "$(folder 1)/decree.ini" >"$work/ini"
cp "$work/ini" "$(folder 1)/decree.ini"
for n in 2 3; do
	cp -p "$(folder 1)"/{cluster,client}.key "$(folder $n)/"
	sed -e "s/^node = 1/node = $n/" -e "s/^listen = .*/listen = 10.77.1.$n:11300/" "$work/ini" >"$(folder $n)/decree.ini"
	"$DECREE_BIN/decree" format -c "$(folder $n)/decree.ini" >"$work/format$n" || fail "node $n cannot be formatted"
done
sed "s|^\(.*key_file = \)|\1$(folder 1)/|" "$work/ini" >"$client_ini"
for n in 1 2 3; do
	cluster start $n || fail "node $n does not start"
done
for n in 2 3; do
	decree member -c "$client_ini" add $n "$(disk_of $n)" || fail "node $n is not added"
done
wait_until "the three nodes had the same state" converged

note "any two of them are the queue"
cluster kill 1
beans work 10.77.1.3:11300 jobs 60 "$work/done" || fail "jobs are missing"
beans work 10.77.1.2:11300 jobs 100 "$work/done" || fail "jobs are missing"
seq 100 | cmp - "$work/done" || fail "the jobs came in another order"
