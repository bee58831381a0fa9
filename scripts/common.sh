# SPDX-License-Identifier: Apache-2.0
# What the scripts share. Sourced, never run; sets `root` to the top of the source tree.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
	printf '%s\n' "$*" >&2
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# print_head SCRIPT: what its first comment says of it, for --help; ends.
print_head() {
	sed -n '3,${ /^#/!q; s/^# \{0,1\}//; p }' "$1"
	exit 0
}

# Build the release executables in build/, configuring it first if need be. Output only on failure,
# since nobody reads 200 lines of compiler commands.
build_release() {
	local log=$root/build.log

	command -v meson >/dev/null || die "meson is missing: scripts/deps build installs what a build needs"
	if ! {
		{ [ -f "$root/build/build.ninja" ] ||
			meson setup "$root/build" "$root" --buildtype=release; } &&
			ninja -C "$root/build"
	} >"$log" 2>&1; then
		tail -n 60 "$log" >&2
		die "the build failed; the whole output is in $log"
	fi
}

# The wall clock in milliseconds, for stage times and deadlines.
now_ms() {
	local t=$EPOCHREALTIME

	echo $((${t/[.,]/} / 1000))
}
