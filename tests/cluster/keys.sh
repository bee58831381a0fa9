#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two client keys are live while the client key is being changed, then one. A node that leaves out a round of the change of the cluster
# key is met by nobody, and the others say why. (The change itself, under load: the walkthrough of docs/operating.md.)
. "$(dirname "$0")/lib.sh"

keys=$DECREE_CLUSTER_DIR

# configure NODE LINE...: with these keys
configure() {
	local ini=$keys/node$1/decree.ini

	shift
	sed -i '/key_file/d' "$ini"
	sed -i "s|^\[cluster\]$|[cluster]$(printf '\\n%s' "$@")|" "$ini"
}

client() {
	sed "s|$keys/client.key|$keys/$1|" "$client_ini" >"$work/$1.ini"
	(cluster exec timeout 20 "$DECREE_BIN/decree" read -c "$work/$1.ini" "${@:2}" count >/dev/null 2>&1)
}

has_met_nobody() {
	decree status -c "$work/newclient.key.ini" --json 2>/dev/null |
		jq -es "map(select(.node == $1)) | length == 1 and all(.[].peers[]; .up | not)"
}

has_warned() {
	cluster logs 1 | grep 'handshakes under another key'
}

# is_alone: node 3 runs and answers, and is met by nobody.
is_alone() {
	cluster start 3 2>/dev/null &
	wait_until "node 1 said that somebody has another key" has_warned
	wait_until "node 3 answered and was met by nobody" has_met_nobody 3
	cluster kill 3
	wait $!
}

begin --no-start
(umask 077; for key in new newclient stranger; do openssl rand -hex 32 >"$keys/$key.key"; done)
for n in 1 2 3; do
	configure $n "key_file = $keys/cluster.key" "client_key_file = $keys/newclient.key" \
		"client_key_file_also = $keys/client.key"
	cluster start $n || fail "node $n does not start"
done

note "two client keys, and no third one"
client client.key --timeout 20000 || fail "the old client key is not answered"
client newclient.key --timeout 20000 || fail "the new client key is not answered"
client stranger.key --timeout 500 && fail "a key that nobody has heard of is answered"

note "one node forgets the old one"
cluster kill 1
configure 1 "key_file = $keys/cluster.key" "client_key_file = $keys/newclient.key"
cluster start 1 || fail "node 1 does not start"
client newclient.key --node 1 --consistency stale --timeout 20000 || fail "the new client key is not answered"
client client.key --node 1 --consistency stale --timeout 500 && fail "the old client key is still answered"
client client.key --node 2 --consistency stale --timeout 20000 || fail "node 2 has forgotten it, too"

note "a node that leaves out a round"
cluster kill 3
configure 3 "key_file = $keys/new.key" "client_key_file = $keys/newclient.key"
is_alone
configure 3 "key_file = $keys/new.key" "key_file_also = $keys/cluster.key" "client_key_file = $keys/newclient.key"
is_alone

note "what is refused"
configure 3 "key_file = $keys/cluster.key" "key_file_also = $keys/cluster.key" "client_key_file = $keys/client.key"
refuses_to_start 3 'has the same key as'
configure 3 "key_file = $keys/cluster.key" "client_key_file_also = $keys/client.key"
refuses_to_start 3 "client_key_file_also' and no 'client_key_file'"
chmod 644 "$keys/new.key"
configure 3 "key_file = $keys/cluster.key" "key_file_also = $keys/new.key" "client_key_file = $keys/client.key"
refuses_to_start 3 'others may read this key'
