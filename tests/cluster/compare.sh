#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The judge of all cluster tests and of the demo must itself see every crime: a command that one node
# lacks, one executed twice, one with other bytes, another order, one line acknowledged twice.
set -u
compare=$(cd "$(dirname "$0")/../.." && pwd)/scripts/compare
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# log FILE "SLOT SEQ EXECUTED DIGEST" ...
log() {
	local file=$1

	shift
	printf '%s\n' "$@" | while read -r slot seq executed digest; do
		echo "{\"slot\":$slot,\"index\":0,\"session\":7,\"seq\":$seq,\"executed\":$executed,\"digest\":\"$digest\"}"
	done >"$file"
}

ack() {
	echo "{\"session\":7,\"seq\":$1,\"line\":$2,\"digest\":\"$3\"}"
}

{ ack 1 1 aa && ack 2 2 bb && ack 3 3 cc; } >acks
log good "1 1 true aa" "2 2 true bb" "3 2 false bb" "4 3 true cc"
log short "1 1 true aa" "2 2 true bb"
log twice "1 1 true aa" "2 2 true bb" "3 2 true bb" "4 3 true cc"
log other "1 1 true aa" "2 2 true b0" "4 3 true cc"
log order "1 2 true bb" "2 1 true aa" "4 3 true cc"

failed=0
expect() {
	local status=$1 out

	shift
	out=$("$compare" "$@")
	[ $? -eq "$status" ] || { echo "FAILED: $* gives $out" && failed=1; }
}

expect 0 acks good good
expect 1 acks good short
expect 1 acks twice twice
expect 1 acks other other
expect 1 acks good order
{ cat acks && ack 4 2 bb; } >acks_twice
log again "1 1 true aa" "2 2 true bb" "4 3 true cc" "5 4 true bb"
expect 1 acks_twice again again
exit $failed
