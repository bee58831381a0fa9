#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Python module as `meson install` leaves it, against three nodes: see client.py beside it.
#
#   python.sh BUILD PREFIX LIBDIR DATADIR
. "$(dirname "$0")/../cluster/lib.sh"
. "$(dirname "$0")/../install/installed.sh"

install_below "$work/root" "$1" "$2" "$3" || fail "it could not be installed"
DECREE_BIN=$work/root$2/bin
export PYTHONPATH=$work/root$2/$4/decree/python PYTHONDONTWRITEBYTECODE=1

begin
cluster exec python3 "$top/tests/embed/client.py" "$client_ini" "$top/scripts/cluster" || fail "client.py"
wait_until "all states were equal" converged 3

note "the program of docs/embedding.md"
sed -n '/^### From Python/,/^## /{/^```python$/,/^```$/{/^```/d;p}}' "$top/docs/embedding.md" >"$work/quoted.py"
ln -s "$client_ini" "$work/cluster.ini"
(cd "$work" && cluster exec python3 quoted.py >said) || fail "it failed"
[ "$(wc -l <"$work/said")" -eq 3 ] || fail "it said: $(cat "$work/said")"
