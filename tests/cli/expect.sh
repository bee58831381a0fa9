# SPDX-License-Identifier: Apache-2.0
# What the tests of command lines share: a folder of their own, where they are from here on, and a look at what a
# command prints. Sourced; `failed` is 1 if anything was not as expected, `count` counts.
# shellcheck shell=bash
work=$(mktemp -d -p "$PWD") # not in /tmp, which may be unable to hold a log
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
count=0

# A file's first and last bytes: why a long run failed stands at its end.
both_ends() {
	if [ "$(stat -c %s "$1")" -le 4000 ]; then
		cat "$1"
	else
		head -c 2000 "$1"
		printf '\n[...]\n'
		tail -c 2000 "$1"
	fi
}

# expect STATUS WORDS COMMAND...: WORDS, separated by '|', all have to be in what it prints; those with '!' before must not.
# A command has 30 seconds, or $expect_seconds.
expect() {
	local status=$1 words=$2 got word

	shift 2
	count=$((count + 1))
	timeout "${expect_seconds:-30}" "$@" >out 2>&1 </dev/null
	got=$?
	if [ $got -ne "$status" ]; then
		printf 'FAILED: %s\n  status %s instead of %s: %s\n' "${*##*/}" $got "$status" "$(both_ends out)"
		failed=1
		return
	fi
	while IFS= read -r -d '|' word; do
		if [ "${word#!}" != "$word" ]; then
			! grep -qF -- "${word#!}" out || {
				printf 'FAILED: %s\n  the word "%s"\n' "${*##*/}" "$word"
				failed=1
			}
		elif ! grep -qF -- "$word" out; then
			printf 'FAILED: %s\n  no word of "%s": %s\n' "${*##*/}" "$word" "$(head -c 2000 out)"
			failed=1
		fi
	done <<<"$words|"
}
