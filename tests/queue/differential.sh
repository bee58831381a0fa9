#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Random commands to two beanstalkds: there is no difference, or what we compare with is not what we think.
# differential.sh [COUNT]
set -u
PATH=$PATH:/usr/sbin:/sbin

command -v beanstalkd >/dev/null || {
	echo "skipped: beanstalkd is not installed (scripts/deps test)"
	exit 77
}
work=$(mktemp -d /tmp/decree-differential-XXXXXX)
beanstalkd -l "unix:$work/first" &
first=$!
beanstalkd -l "unix:$work/other" &
other=$!
trap 'kill $first $other; rm -rf "$work"' EXIT
for i in $(seq 1000); do
	[ -S "$work/first" ] && [ -S "$work/other" ] && break
	sleep 0.01
done
"$(dirname "$0")/differential.py" --count "${1:-5000}" "unix:$work/first" "unix:$work/other"
