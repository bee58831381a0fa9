#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bench/wal: its command line, and the form of what it prints. What it measures here is worth nothing, and is not looked at.
#
#   bench_wal.sh WAL
set -u

wal=$(realpath "$1")
. "$(dirname "$0")/expect.sh"
mkdir disk
run=("$wal" --sizes "64,16K" --seconds 0.01 --rounds 2 --mib 16)

# Command lines

expect 0 'usage: wal [OPTION ...] DIRECTORY|--sizes LIST|--only LIST|--json FILE|--plot FILE|64,512,4K,16K,128K,1M' "$wal" --help
expect 2 'one DIRECTORY is needed' "$wal"
expect 2 'one DIRECTORY is needed' "$wal" disk disk
expect 2 "unknown option '--frob'" "$wal" --frob disk
expect 2 '--sizes 64,: expected|1 to 1M' "$wal" --sizes 64, disk
expect 2 '--sizes 0' "$wal" --sizes 0 disk
expect 2 '--sizes 64,2M' "$wal" --sizes 64,2M disk
expect 2 '--sizes 4G' "$wal" --sizes 4G disk
expect 2 '--sizes is empty' "$wal" --sizes '' disk
expect 2 '--seconds 0: expected 0.001 to 60' "$wal" --seconds 0 disk
expect 2 '--mib 17: expected a multiple of 16' "$wal" --mib 17 disk
expect 2 '--depth 1' "$wal" --depth 1 disk
expect 2 '--rounds 0' "$wal" --rounds 0 disk
expect 2 "what is 'lag'?|raw" "$wal" --only log,lag disk
expect 1 'nowhere: No such file' "$wal" nowhere

# A run: both tables for both sizes, each way by its name; nothing stays behind. A percentile is told with ten samples above it: never p99.9 here.

expect 0 'disk: device |One append of 64 B in flight|Saturated with appends of 64 B|One append of 16 KiB|log  |raw  |fdatasync|dsync|linked|log-2|memory|same-4' \
	"${run[@]}" --only log,raw,fdatasync,dsync,linked,log-1,log-2,memory,same,same-2,same-4 --json out.json disk
expect 0 '[28,"wal",2]' jq -c '[(.rows | length), .bench, .rounds]' out.json
expect 0 '[[64,"log"],[16384,"log"]]' \
	jq -c '[.rows[] | select(.table == "one" and .way == "log" and (.p50_us == null or .p50_us <= .max_us) and .p999_us == null
		and .appends_per_s > 0 and .max_us > 0) | [.bytes, .way]]' out.json
expect 0 '[4,4]' jq -c '[([.rows[] | select(.way == "same" or .way == "same-2")] | length),
	([.rows[] | select((.way == "same" or .way == "same-2") and .log_over_it > 0)] | length)]' out.json
expect 0 '[4]' jq -c '[[.rows[] | select(.way == "raw" and .write_bytes == (if .bytes == 64 then 512 else 16384 end))] | length]' out.json
expect 0 '!disk/' find disk -mindepth 1

# What is not installed is left out, and said.

expect 0 'left out: fio: fio is not installed|One append of 64 B' env PATH=/nonexistent "${run[@]}" --only raw,fio disk
expect 0 'left out: same: it takes its size from the log' "${run[@]}" --only raw,same disk
expect 1 'left out: fio|nothing is left to measure' env PATH=/nonexistent "${run[@]}" --only fio disk
expect 1 'no plot: gnuplot is not installed' env PATH=/nonexistent "${run[@]}" --only raw --plot out.svg disk
expect 1 'nowhere/out.json: No such file' "${run[@]}" --only raw --json nowhere/out.json disk
if command -v gnuplot >/dev/null; then
	expect 0 'One append' "${run[@]}" --only raw,log --plot out.svg disk
	expect 0 '<svg|saturated' cat out.svg
fi

echo "$count cases"
exit $failed
