#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages, on a machine that has nothing else.
#
#   package.sh
#
#   1. builds them, source and binary, out of a copy of what git tracks; lintian finds nothing;
#   2. makes a clean Debian, in which apt finds what they depend on;
#   3. installs and purges: nothing is left;
#   4. installs again: nothing was started, nothing is enabled; package_service.py starts what the units start, and
#      installs a second time over it;
#   5. builds a program with libdecree-dev and pkg-config alone;
#   6. removes and purges: jobs and keys are left, and the user whom they belong to, and that is all.
#
# All of it is in a tmpfs of namespaces of its own: nothing stays behind, however it ends, and a build has the same path each
# time, so that ccache knows it. What comes from Debian is kept for a week in ~/.cache/decree/debian.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
place=/mnt
case $source in "$place"/*) place=/media ;; esac
cache=${XDG_CACHE_HOME:-$HOME/.cache}/decree/debian
started=$SECONDS

skip() {
	echo "SKIPPED: $*"
	exit 77
}

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

note() {
	echo "$((SECONDS - started)) s: $*"
}

# quietly WHAT COMMAND...: what it prints is of interest if it fails.
quietly() {
	local what=$1

	shift
	"$@" >log 2>&1 </dev/null || {
		tail -n 40 log
		fail "$what"
	}
}

in_root() {
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
		chroot root "$@"
}

# ------------------------------------------------------------------------------------------ what this machine can do

look_around() {
	local command

	[ "$(id -u)" -eq 0 ] || skip "the clean Debian needs root"
	for command in dpkg-buildpackage dh lintian mmdebstrap git ip; do
		command -v $command >/dev/null || skip "there is no $command: scripts/deps package"
	done
	. /etc/os-release
	[ "${VERSION_CODENAME:-}" = bookworm ] || skip "the packages are for Debian 12, and this is ${PRETTY_NAME:-another system}"
	unshare --mount --pid --fork --net -- sh -c "mount -t tmpfs none $place && mknod $place/null c 1 3 && echo >$place/null &&
		dd if=/dev/zero of=$place/block bs=4096 count=1 oflag=direct" 2>/dev/null ||
		skip "this machine gives no mount namespaces, no device nodes, or no O_DIRECT on tmpfs (Linux 6.6)"
}

if [ "${1:-}" != --inside ]; then
	look_around
	# The first process of the namespace is this script: when it ends, whatever it started ends.
	exec unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside
fi

# ------------------------------------------------------------------------------------------ 1. build

build() {
	local version=$1

	mkdir "decree-$version" || exit 1
	git -C "$source" -c safe.directory="$source" ls-files -z | tar -C "$source" --null -T - -c | tar -x -C "decree-$version" ||
		fail "the tree could not be copied"
	cd "decree-$version" || exit 1
	# debhelper has a home of its own.
	! command -v ccache >/dev/null || export CCACHE_DIR="${CCACHE_DIR:-$(ccache --get-config cache_dir)}"
	DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" dpkg-buildpackage -us -uc >../build.log 2>&1 </dev/null
}

# What scripts/deps installs to compile is what debian/control asks for.
check_build_dependencies() {
	local package

	for package in $(sed -n '/^build="/,/"$/p' "$source/scripts/deps" | tr '"\t=' '\n\n\n' | tr ' ' '\n' | grep -x '.*-dev'); do
		[ "$package" = libc6-dev ] || grep -qE "^ $package( |,|$)" "$source/debian/control" ||
			fail "debian/control does not ask for $package"
	done
}

check_packages() {
	local package

	for package in decree libdecree0 libdecree-dev decree-dbgsym libdecree0-dbgsym; do
		[ -f "${package}_${version}_amd64.deb" ] || fail "no package $package was built"
	done
	[ -f "decree_$version.dsc" ] || fail "no source package was built"
	dpkg-deb --ctrl-tarfile "libdecree0_${version}_amd64.deb" | tar -tf - | grep -qx ./symbols || fail "libdecree0 has no symbols"
	lintian --allow-root --display-info --fail-on error,warning,info "decree_${version}_amd64.changes" >lintian.log 2>&1 || {
		cat lintian.log
		fail "lintian found something"
	}
	! grep -E '^[EWI]: ' lintian.log || fail "lintian found something, and said that it did not"
}

# ------------------------------------------------------------------------------------------ 2. a clean Debian

# What apt fetches is kept, and what was kept is not fetched.
make_root() {
	local kept=$cache/root.tar

	if [ -z "$(find "$kept" -mtime -7 2>/dev/null)" ]; then
		mkdir -p "$cache"
		mkdir tmp
		TMPDIR=$PWD/tmp mmdebstrap --variant=apt --mode=root --skip=cleanup/apt/lists bookworm root.tar >root.log 2>&1 </dev/null ||
			return 1
		rm -rf "$cache/archives" && mkdir "$cache/archives" && cp root.tar "$kept.$$" && mv "$kept.$$" "$kept"
	fi
	mkdir root && tar --numeric-owner -xf "$kept" -C root
}

prepare_root() {
	cp /etc/resolv.conf root/etc/resolv.conf
	cp -n "$cache"/archives/*.deb root/var/cache/apt/archives/ 2>/dev/null
	mount -t proc proc root/proc
	mount --rbind /sys root/sys
	mount -t tmpfs tmpfs root/run
	mkdir root/packages
	ln decree_*.deb libdecree*.deb root/packages/
	# A host that systemd has booted, for maintainers' scripts; what they ask of it is written down.
	mkdir -p root/run/systemd/system root/run/lock
	printf '#!/bin/sh\necho "$*" >>/run/asked\n' >root/usr/local/sbin/systemctl
	chmod +x root/usr/local/sbin/systemctl
	: >root/run/asked
}

keep_archives() {
	cp -n root/var/cache/apt/archives/*.deb "$cache/archives/" 2>/dev/null
}

# install PACKAGE...: with what they depend on, and nothing that they merely recommend.
install() {
	in_root apt-get -y --no-install-recommends install "$@"
}

# The dependencies first, so that what comes with the packages and what goes with them can be told.
install_dependencies() {
	local names

	names=$(in_root apt-get -s --no-install-recommends install "$deb" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -v '^decree$') ||
		return 1
	install $names
}

files() {
	find root -xdev ! -path 'root/var/cache/*' ! -path 'root/var/log/*' | sort
}

# nothing_but_jobs_left PATTERN: in comparison with the files before.
expect_left() {
	local pattern=$1

	files >after
	comm -13 before after | grep -vxE "$pattern" && fail "the purge left these"
	comm -23 before after | grep . && fail "the purge took these, which are not the package's"
	in_root dpkg-query -W 2>/dev/null | grep -i decree && fail "dpkg still knows a package"
	return 0
}

# What maintainers' scripts wanted of systemd for units of ours.
asked() {
	grep decreed root/run/asked
}

# The program of the README, by somebody who has the package and no source of ours.
program() {
	quietly "no compiler, or no libdecree-dev" install gcc libc6-dev pkg-config "/packages/libdecree0_${version}_amd64.deb" \
		"/packages/libdecree-dev_${version}_amd64.deb"
	keep_archives
	mkdir root/run/program && cp "$source/tests/cluster/embed.c" root/run/program
	cat >root/run/program/one.ini <<-END
		[cluster]
		id = 1
		key_file = cluster.key
		client_key_file = client.key
		session_count = 8
		[node 1]
		ip = 127.0.0.1
		[local]
		node = 1
		data_dir = data
		log_bytes = 8M
		segment_bytes = 1M
		idle = sleep
	END
	quietly "the program does not build" in_root sh -c \
		'cd /run/program && cc -Wall -Wextra -Werror embed.c $(pkg-config --cflags --libs decree) -o embed'
	quietly "no data directory" in_root decree format -c /run/program/one.ini --new-keys
	quietly "the program does not run" in_root /run/program/embed /run/program/one.ini
	grep -qx 'this was command 1' log || fail "the program says: $(cat log)"
	[ "decree $(in_root pkg-config --modversion decree)" = "$(in_root decree --version)" ] || fail "decree.pc has another version"
}

# Names of what is merely recommended are not looked at by an installation.
recommended() {
	local names name

	names=$(dpkg-deb -f "decree_${version}_amd64.deb" Recommends Suggests | sed 's/^[A-Z][a-z]*: //' | tr ',' '\n')
	for name in $names; do
		in_root apt-cache show --no-all-versions "$name" >/dev/null 2>&1 || fail "Debian has no $name, which decree recommends"
	done
}

# ------------------------------------------------------------------------------------------ all

main() {
	local building rooting left

	mount -t tmpfs tmpfs "$place" && cd "$place" || exit 1
	version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$source/debian/changelog")
	deb=/packages/decree_${version}_amd64.deb

	check_build_dependencies
	make_root &
	rooting=$!
	build "$version" &
	building=$!
	wait $building || { tail -n 40 build.log && fail "the packages were not built"; }
	note "built"
	check_packages
	note "lintian finds nothing"
	wait $rooting || { tail -n 20 root.log && fail "mmdebstrap made no clean Debian"; }
	prepare_root
	quietly "what the package depends on is not in Debian" install_dependencies
	keep_archives
	# Of the group and the user something is left, as always.
	cp -a root/etc/passwd passwd
	: >root/run/asked
	mkdir -p root/etc/systemd/system/multi-user.target.wants
	files >before
	note "a clean Debian, with what decree depends on"

	quietly "decree was not installed" install "$deb"
	[ -z "$(asked)$(find root/etc/systemd -name 'decreed*')" ] || fail "something was started, or enabled"
	quietly "decree was not purged" in_root dpkg --purge decree
	expect_left 'root/etc/(passwd|group|shadow|gshadow)-'
	note "installed, and purged without a trace"

	quietly "decree was not installed again" install "$deb"
	quietly "DPDK's driver for af_packet is not in Debian" install librte-net-af-packet23
	[ "$(in_root stat -c '%n %U:%G %a' /etc/decree /var/lib/decree)" = '/etc/decree root:decree 750
/var/lib/decree decree:decree 700' ] || fail "folders: $(in_root stat -c '%n %U:%G %a' /etc/decree /var/lib/decree)"
	in_root systemd-analyze verify --man=no /lib/systemd/system/decreed.service /lib/systemd/system/decreed@one.service >verify.log 2>&1 && [ ! -s verify.log ] ||
		fail "the units: $(cat verify.log)"
	# PrivateTmp: where DPDK keeps what it needs while it runs.
	unshare --net --mount sh -c 'mount -t tmpfs tmpfs root/tmp && exec "$@"' sh "$source/tests/install/package_service.py" root \
		env PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin chroot root dpkg -i "$deb" || exit 1
	note "run, and upgraded"

	program
	note "a program against libdecree-dev"

	recommended
	quietly "libdecree-dev and libdecree0 were not purged" in_root dpkg --purge libdecree-dev libdecree0
	: >root/run/asked
	quietly "decree was not removed" in_root dpkg --remove decree
	[ "$(in_root ls /etc/decree /etc/default/decreed)" = '/etc/default/decreed

/etc/decree:
node.conf' ] || fail "a removal took configuration away"
	[ "$(asked)" = 'stop decreed.socket decreed.service decreed@*.service' ] || fail "the removal did not stop what may run"
	# As decree-hugepages and decree-bind-nic would have left them, and 'systemctl enable', and an operator.
	touch root/etc/tmpfiles.d/decree-hugepages.conf root/etc/decree/nics root/etc/default/decreed-one root/etc/decree/old.key
	ln -s /lib/systemd/system/decreed.service root/etc/systemd/system/multi-user.target.wants/
	mkdir -p root/etc/systemd/system/sockets.target.wants
	ln -s /lib/systemd/system/decreed.socket root/etc/systemd/system/sockets.target.wants/
	ln -s /lib/systemd/system/decreed@.service root/etc/systemd/system/multi-user.target.wants/decreed@one.service
	in_root dpkg --purge decree >purged 2>&1 || fail "decree was not purged: $(cat purged)"
	grep -q "decree: keys are still in /etc/decree" purged && grep -q "jobs, logs and keys are still in /var/lib/decree" purged || fail "the purge does not say what it left: $(cat purged)"
	quietly "what came with the compiler did not go" in_root apt-get -y --purge autoremove gcc libc6-dev pkg-config librte-net-af-packet23
	expect_left '(root/etc/(passwd|group|shadow|gshadow)-|root/etc/decree(/old.key)?|root/var/lib/decree(/.*)?)'
	[ -s root/var/lib/decree/decree.ini ] && [ -s root/var/lib/decree/node.key ] || fail "the purge took jobs or keys away"
	note "purged: left are the user decree and $(find root/var/lib/decree -type f | wc -l) files in /var/lib/decree"
}

main
