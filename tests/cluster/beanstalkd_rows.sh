#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The rows that our parser is held to are what beanstalkd really answers: beanstalkd_rows.sh PATH-OF-BEANSTALKD_ROWS
set -u
PATH=$PATH:/usr/sbin:/sbin

command -v beanstalkd >/dev/null || {
	echo "skipped: beanstalkd is not installed (scripts/deps test)"
	exit 77
}
work=$(mktemp -d /tmp/decree-rows-XXXXXX)
beanstalkd -l "unix:$work/socket" &
server=$!
trap 'kill $server; rm -rf "$work"' EXIT
"$1" "unix:$work/socket"
