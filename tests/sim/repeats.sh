#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same seed tells the same story, byte for byte: again, at other addresses, and after other seeds.
set -eu
sim=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for seed in 3 8 21; do
	"$sim" --seed $seed --trace >"$tmp/first" 2>/dev/null
	"$sim" --seed $seed --trace >"$tmp/second" 2>/dev/null
	setarch -R "$sim" --seed $seed --trace >"$tmp/fixed" 2>/dev/null
	"$sim" --seed $((seed - 2)) --count 3 --trace >"$tmp/after" 2>/dev/null
	cmp "$tmp/first" "$tmp/second"
	cmp "$tmp/first" "$tmp/fixed"
	# Without the summary it must be the end of the longer story.
	grep ' ms  ' "$tmp/first" >"$tmp/first.story"
	lines=$(wc -l <"$tmp/first.story")
	[ "$lines" -gt 20 ]
	grep ' ms  ' "$tmp/after" | tail -n "$lines" >"$tmp/after.story"
	cmp "$tmp/first.story" "$tmp/after.story"
done
