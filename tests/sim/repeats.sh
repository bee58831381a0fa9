#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same seed tells the same story, byte for byte: again, at other addresses, and after other seeds.
set -eu
sim=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

tell() {
	"$@" --trace 2>/dev/null
}

for world in '3 log' '8 log' '21 log' '3 queue' '8 queue'; do
	seed=${world% *} machine=${world#* }
	tell "$sim" --seed "$seed" --machine "$machine" >"$tmp/first"
	tell "$sim" --seed "$seed" --machine "$machine" >"$tmp/second"
	tell setarch -R "$sim" --seed "$seed" --machine "$machine" >"$tmp/fixed"
	tell "$sim" --seed $((seed - 2)) --count 3 --machine "$machine" >"$tmp/after"
	cmp "$tmp/first" "$tmp/second"
	cmp "$tmp/first" "$tmp/fixed"
	# Without the summary it must be the end of the longer story.
	grep ' ms  ' "$tmp/first" >"$tmp/first.story"
	lines=$(wc -l <"$tmp/first.story")
	[ "$lines" -gt 20 ]
	grep ' ms  ' "$tmp/after" | tail -n "$lines" >"$tmp/after.story"
	cmp "$tmp/first.story" "$tmp/after.story"
done
