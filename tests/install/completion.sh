#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What bash offers behind `decree` and `decreed`.
#
#   completion.sh COMPLETION BIN
set -u

. "$1"
PATH=$2:$PATH
failed=0
cd "$(dirname "$0")" || exit 1 # where files are that can be offered

# offers WORDS LINE...: what is offered for the last word contains all WORDS, or nothing if there are none
offers() {
	local wanted=$1 word

	shift
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_decree
	[ -n "$wanted" ] || [ ${#COMPREPLY[@]} -eq 0 ] || {
		echo "FAILED: '$*' is offered ${COMPREPLY[*]}"
		failed=1
	}
	for word in $wanted; do
		printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$word" || {
			echo "FAILED: '$*' is not offered '$word' but '${COMPREPLY[*]}'"
			failed=1
		}
	done
}

offers 'status submit force-recover --help' decree ''
offers 'status' decree sta
offers '--json --timeout --config' decree status -
offers 'pages.py' decree status -c pa
offers 'pages.py' decree status --config pa
offers '' decree status --timeout ''
offers 'add remove replace list' decree member ''
offers 'local.log_bytes= local.log_mode=' decree format local.log_
offers '--machine --listen' decreed --
offers 'queue.listen=' decreed -c meson.build queue.l
offers 'pages.py' decreed -c pa

[ $failed -eq 0 ] && echo "commands, options, files and keys are offered"
exit $failed
