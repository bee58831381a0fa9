#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Frames that nobody should believe: a node with a wrong key, another cluster's, noise. They are counted
# and dropped; the leader stays the leader, and nothing is lost.
. "$(dirname "$0")/lib.sh"

begin
load
acks_grow 300
lead=$(await_leader)
victim=$(set -- $(followers) && echo "$1")
home=$DECREE_CLUSTER_DIR/node$victim
cluster kill "$victim"

note "what the others answer, before node $victim runs"
finds() { # PATTERN: in what decree check says of the network on node $victim's host; a busy node answers echoes last
	wait_until "decree check said '$1'" checked "$1"
}
checked() {
	cluster exec-on "$victim" "$DECREE_BIN/decree" check -c "$home/decree.ini" >"$work/check" 2>&1
	grep -q "$1" "$work/check"
}
finds "ok    network     node $lead answers, to packets of 1500 bytes too"
cluster exec ip netns exec switch nft add rule bridge cut links oifname "port$victim" meta length '>' 1400 drop
finds "BAD   network     node $lead answers, but not if a packet has 1500 bytes.*ip link set dev"
cluster exec ip netns exec switch nft flush chain bridge cut links
cluster cut "$victim" "$lead"
finds "note  network     node $lead does not answer ARP"
cluster heal
cluster exec ip address add "10.77.0.$victim/24" dev eth0
finds "BAD   network     another host (.*) has the address of this node. Stop the other"
cluster exec ip address del "10.77.0.$victim/24" dev eth0

lead=$(await_leader)
ballot=$(field "$lead" ballot)
dropped=$(field "$lead" frames_dropped)

drops_grew() {
	[ "$(field "$lead" frames_dropped)" -gt "$dropped" ]
}

note "node $victim with another key"
tr 0-9a-f 1-9a-f0 <"$DECREE_CLUSTER_DIR/cluster.key" >"$work/wrong.key"
chmod 600 "$work/wrong.key"
cluster start "$victim" "cluster.key_file=$work/wrong.key" || fail "node $victim does not start"
wait_until "its frames were dropped" drops_grew
acks_grow 300
[ "$(field "$victim" role)" != leader ] || fail "a node with a wrong key leads"
cluster kill "$victim"

note "key file missing, and readable by everybody"
cp "$work/wrong.key" "$work/open.key"
chmod 644 "$work/open.key"
sed "s|^key_file = .*|key_file = $work/none.key|" -i.saved "$home/decree.ini"
refuses_to_start "$victim" 'none.key'
sed "s|^key_file = .*|key_file = $work/open.key|" -i "$home/decree.ini"
refuses_to_start "$victim" 'open.key'
mv "$home/decree.ini.saved" "$home/decree.ini"

note "a client of another cluster, and one with another key"
dropped=$(field "$lead" frames_dropped)
sed 's/^id = .*/id = 1234567890abcdef/' "$client_ini" >"$work/foreign.ini"
echo x | timeout 1 "$top/scripts/cluster" exec "$DECREE_BIN/decree" submit -c "$work/foreign.ini" \
	>/dev/null 2>&1 && fail "another cluster's client was served"
wait_until "its frames were dropped" drops_grew
dropped=$(field "$lead" frames_dropped)
sed "s|^client_key_file = .*|client_key_file = $work/wrong.key|" "$client_ini" >"$work/key.ini"
echo x | timeout 1 "$top/scripts/cluster" exec "$DECREE_BIN/decree" submit -c "$work/key.ini" \
	>/dev/null 2>&1 && fail "a client with a wrong key was served"
wait_until "its frames were dropped" drops_grew

note "noise"
dropped=$(field "$lead" frames_dropped)
cluster exec bash -c '
	port=$(sed -n "s/^base_port = //p" "$DECREE_CONFIG")
	for n in 1 2 3; do
		for size in 1 16 64 200 1400; do
			for i in 1 2 3 4 5 6 7 8; do
				head -c $size /dev/urandom >/dev/udp/10.77.0.$n/${port:-7400}
			done
		done
	done' 2>/dev/null
wait_until "noise was dropped" drops_grew

[ "$(field "$lead" ballot)" = "$ballot" ] || fail "the leader changed"

note "ping"
pings() {
	cluster exec ping -q -c 3 -i 0.01 -W 5 -M do -s "$1" "10.77.0.$lead" >"$work/ping"
}
wait_until "node $lead answered ping" pings 56
wait_until "node $lead answered a ping of 1500 bytes" pings 1472

note "a switch whose MTU is too small for node $victim"
cluster exec ip netns exec switch nft add rule bridge cut links oifname "port$victim" meta length '>' 1400 drop
cluster start "$victim" || fail "node $victim does not start again"
says_narrow() {
	cluster logs "$victim" | grep -q 'answers, but not if a packet has 1500 bytes.*ip link set'
}
wait_until "node $victim said that full frames do not get through" says_narrow
cluster exec ip netns exec switch nft flush chain bridge cut links
acks_grow 300
unload
verify
