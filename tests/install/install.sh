#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever has nothing but what `meson install` leaves builds a program with pkg-config alone, and it runs a node.
#
#   install.sh SOURCE BUILD PREFIX LIBDIR
set -u

source=$(realpath "$1") build=$(realpath "$2") prefix=$3 libdir=$3/$4
. "$(dirname "$0")/../cli/expect.sh"
. "$(dirname "$0")/installed.sh"
root=$work/root

fail() {
	echo "FAILED: $*" >&2
	failed=1
}

flags() {
	pkg-config --cflags --libs decree
}

install_below "$root" "$build" "$prefix" "$4" || exit 1

for file in bin/{decree,decree-bench,decree-bench-plot,decree-queue-move,decreed} include/decree/{client,machine,node,setup,types}.h share/bash-completion/completions/decreed \
	share/man/man{1/decree.1,1/decree-bench.1,1/decree-bench-plot.1,1/decree-queue-move.1,3/libdecree.3,3/decree_poll.3,5/decree.conf.5,8/decreed.8,8/decree-bind-nic.8,8/decree-hugepages.8} \
	share/decree/{grafana/decree.json,prometheus/decree.rules.yml,wireshark/decree.lua}; do
	[ -f "$root$prefix/$file" ] || fail "$file was not installed"
done
[ "$(readlink "$root$libdir/libdecree.so")" = libdecree.so.0 ] || fail "libdecree.so is no link to libdecree.so.0"
readelf -d "$root$libdir/libdecree.so" | grep -q 'SONAME.*\[libdecree\.so\.0\]' || fail "the library has another soname"
readelf -d "$root$libdir/libdecree.so" "$root$prefix"/bin/{decree,decreed,decree-bench} | grep -E 'R(UN)?PATH' && fail "a path of the build is left"

# The bench is a command of decree, and the plots are one too.
expect 0 'usage: decree bench [OPTION ...]' "$root$prefix/bin/decree" bench --help
expect 0 'usage: decree bench-plot JSON' "$root$prefix/bin/decree" bench-plot --help

# The units are as systemd wants them, and start what was installed.
if command -v systemd-analyze >/dev/null; then
	mkdir units
	for unit in decreed.service decreed@.service decree-nics.service; do
		grep -qE "^ExecStart=$prefix/(bin/decreed --sandbox|sbin/decree-bind-nic again)( |$)" "$root$prefix/lib/systemd/system/$unit" ||
			fail "$unit starts another program"
		[ $unit = decree-nics.service ] ||
			grep -q "^RestartPreventExitStatus=2$" "$root$prefix/lib/systemd/system/$unit" || fail "$unit is restarted after a wrong configuration"
		sed "s|^ExecStart=$prefix|ExecStart=$root$prefix|" "$root$prefix/lib/systemd/system/$unit" >"units/${unit/@./@one.}"
	done
	cp "$root$prefix/lib/systemd/system/decreed.socket" units/
	# As on a host of cloud-init's, whose network is up before sysinit.target.
	mkdir units/sysinit.target.wants
	printf '%s\n' '[Unit]' DefaultDependencies=no Wants=network-pre.target After=network-pre.target Before=sysinit.target \
		'[Service]' Type=oneshot ExecStart=/bin/true >units/early-network.service
	ln -s ../early-network.service units/sysinit.target.wants/
	systemd-analyze verify --man=no units/*.service units/*.socket >log 2>&1 && [ ! -s log ] || fail "the units: $(cat log)"
fi
# The queue of one host does not start beside the node of a cluster, by the file that the package brings.
data_dir=$(sed -n 's/^data_dir = //p' "$source/system/node.conf")
grep -qx "AssertPathExists=!$data_dir" "$root$prefix/lib/systemd/system/decreed.service" || fail "decreed.service starts beside $data_dir"
find "$root" -path '*/default/decreed' -exec grep -q '^DECREED_OPTIONS="-l 127.0.0.1 ' {} + || fail "the default is not loopback"

# A purge takes what is configuration, and no key; it is the package's, whose own test takes longer.
mkdir -p purged/{etc/{default,tmpfiles.d,decree/one,systemd/system/{multi-user,other}.target.wants},var/lib/decree}
kept=(purged/etc/default/other purged/etc/systemd/system/multi-user.target.wants/other@one.service purged/etc/decree/one/cluster.key
	purged/etc/decree/client.key)
touch "${kept[@]}" purged/etc/default/decreed-one purged/etc/decree/{nics,node.conf,one.conf,one/tls.pem} purged/etc/tmpfiles.d/decree-hugepages.conf
for wants in purged/etc/systemd/system/*; do ln -s /lib/systemd/system/decreed@.service "$wants/decreed@one.service"; done
ln -s /lib/systemd/system/decreed.service purged/etc/systemd/system/multi-user.target.wants/
ln -s /lib/systemd/system/decreed.socket purged/etc/systemd/system/other.target.wants/
cp -a purged removed
DPKG_ROOT=$PWD/removed sh "$source/debian/decree.postrm" remove || fail "a removal ends with $?"
diff -r --no-dereference purged removed >log || fail "a removal is a purge: $(cat log)"
DPKG_ROOT=$PWD/purged sh "$source/debian/decree.postrm" purge 2>log || fail "a purge ends with $?"
[ "$(cat log)" = "decree: keys are still in /etc/decree; 'rm -r /etc/decree' deletes them for ever" ] || fail "a purge says: $(cat log)"
[ "$(find purged ! -type d | sort)" = "$(printf '%s\n' "${kept[@]}" | sort)" ] || fail "a purge leaves: $(find purged ! -type d)"
rm purged/etc/decree/client.key purged/etc/decree/one/cluster.key
DPKG_ROOT=$PWD/purged sh "$source/debian/decree.postrm" purge 2>log && [ ! -s log ] && [ ! -e purged/etc/decree ] && [ ! -e purged/var/lib/decree ] ||
	fail "a purge without keys leaves: $(find purged) $(cat log)"

# What is exported is what the headers declare, and nothing else.
nm -D --defined-only "$root$libdir/libdecree.so" | sed -nE 's/.* T ([a-z_]+)@.*/\1/p' | sort >exported
# The declarations, each on a line of its own.
cat "$root$prefix"/include/decree/*.h | grep -v '#define' | tr '\n' ' ' | grep -oE 'DECREE_API [^(]*\(' |
	sed -E 's/.*[ *]([a-z_]+)\($/\1/' | sort >declared
cmp -s exported declared || fail "exported, not declared (<) or the reverse (>): $(diff exported declared)"
# What a package of it promises to its dependents.
sed -nE 's/^ (decree_[a-z_]+)@.*/\1/p' "$source/debian/libdecree0.symbols" | sort >promised
cmp -s exported promised || fail "exported, not in debian/libdecree0.symbols (<) or the reverse (>): $(diff exported promised)"
[ "$(sed -n '1s/.*(\(.*\)).*/\1/p' "$source/debian/changelog")" = "$(pkg-config --modversion decree)" ] ||
	fail "debian/changelog has another version than meson.build"

# Each header alone, as strictly as anybody compiles; in C++ the names must be C's.
for header in "$root$prefix"/include/decree/*.h; do
	name=decree/$(basename "$header")
	printf '#include <%s>\n#include <%s>\n' "$name" "$name" >one.c
	cp one.c one.cc
	cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only one.c $(flags) || fail "$name alone is no C"
	for compiler in c++ clang++-14; do
		command -v $compiler >/dev/null || continue
		for std in 11 17 20; do
			$compiler -std=c++$std -Wall -Wextra -Wpedantic -Werror -fsyntax-only one.cc $(pkg-config --cflags decree) ||
				fail "$name alone is no C++$std for $compiler"
		done
	done
done
if command -v c++ >/dev/null; then
	cat >names.cc <<-'END'
		#include <decree/client.h>
		#include <decree/setup.h>
		int main() { decree_close(nullptr); return decree_version()[0] == 0; }
	END
	c++ names.cc $(flags) -o names && ./names || fail "a program in C++ does not link, or does not run"
fi

# The program of the README is a whole node.
cat >one.ini <<END
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
expect 0 '' "$root$prefix/bin/decree" format -c one.ini --new-keys
cc -Wall -Wextra -Werror "$source/tests/cluster/embed.c" $(flags) -o embed || fail "the program does not build"
expect 0 'this was command 1' ./embed one.ini
readelf -d embed | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -vxE 'libdecree\.so\.0|libc\.so\.6' &&
	fail "the program depends on more than libdecree"
cc "$source/tests/cluster/embed.c" $(pkg-config --cflags --libs decree-static) -o embed_static || fail "the program does not build with the archive"
readelf -d embed_static | grep -q libdecree && fail "the archive was not taken"
expect 0 'this was command 2' ./embed_static one.ini
[ "decree $(pkg-config --modversion decree)" = "$("$root$prefix/bin/decree" --version)" ] ||
	fail "decree.pc names another version"

[ $failed -eq 0 ] && echo "an installed library: headers, exports, a program in C and in C++, shared and static"
exit $failed
