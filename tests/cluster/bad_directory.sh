#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Data directories that a node must not touch: missing, in use, another node's, another cluster's,
# damaged. Each is refused with a reason, the other two nodes go on, and nothing is lost.
. "$(dirname "$0")/lib.sh"

begin
load
acks_grow 300
victim=$(set -- $(followers) && echo "$1")
other=$(set -- $(followers) && echo "$2")
home=$DECREE_CLUSTER_DIR/node$victim
saved=$work/saved

note "in use: a second process for node $victim"
cluster exec-on "$victim" timeout 30 "$DECREE_BIN/decreed" --machine=log -c "$home/decree.ini" >"$work/second" 2>&1 &&
	fail "two processes share one directory"
grep -qiE 'in use|running|lock' "$work/second" || fail "no word of the running process: $(cat "$work/second")"
acks_grow 100

cluster kill "$victim"
mv "$home/data" "$saved"

note "missing"
refuses_to_start "$victim" 'format'

note "another node's"
cp -r --sparse=always "$DECREE_CLUSTER_DIR/node$other/data" "$home/data"
refuses_to_start "$victim" "node"
rm -rf "$home/data"

note "another cluster's"
sed 's/^id = .*/id = 1234567890abcdef/' "$home/decree.ini" >"$home/foreign.ini"
"$DECREE_BIN/decree" format -c "$home/foreign.ini" >/dev/null || fail "format"
refuses_to_start "$victim" "cluster"
rm -rf "$home/data"

note "log file truncated"
cp -r --sparse=always "$saved" "$home/data"
file=$(largest "$home/data")
truncate -s $(($(stat -c %s "$file") / 2)) "$file"
refuses_to_start "$victim" 'short|size|truncated|bytes'
rm -rf "$home/data"

note "log file missing"
cp -r --sparse=always "$saved" "$home/data"
rm "$(largest "$home/data")"
refuses_to_start "$victim" 'missing|No such file'
rm -rf "$home/data"

note "whole again"
mv "$saved" "$home/data"
cluster start "$victim" || fail "node $victim does not start with its own directory"
acks_grow 300
unload
verify
