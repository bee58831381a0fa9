#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The rows that our parser is held to are what beanstalkd 1.13 really answers: beanstalkd_rows.sh PATH-OF-BEANSTALKD_ROWS
set -u
server=$("$(dirname "$0")/beanstalkd" --look) || {
	echo "skipped: beanstalkd 1.13 is not there (scripts/deps test)"
	exit 77
}
work=$(mktemp -d /tmp/decree-rows-XXXXXX)
"$server" -l "unix:$work/socket" &
pid=$!
trap 'kill $pid; rm -rf "$work"' EXIT
"$1" "unix:$work/socket"
