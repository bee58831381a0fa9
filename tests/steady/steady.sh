#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The steady state, counted: steady.sh PROGRAM
work=$(mktemp -d /var/tmp/steady.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
"$1" "$work"
