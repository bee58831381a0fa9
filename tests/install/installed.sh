# SPDX-License-Identifier: Apache-2.0
# A library as `meson install` leaves it, below a folder of the test's own. Sourced.

# install_below ROOT BUILD PREFIX LIBDIR: from then on pkg-config and the loader find that one, and no other.
install_below() {
	local root=$1 build=$2 prefix=$3 libdir=$3/$4 file

	meson install -C "$build" --no-rebuild --destdir "$root" >"$root.log" 2>&1 || {
		tail -n 20 "$root.log"
		return 1
	}
	# As if the root were part of the prefix.
	mkdir "$root/pkgconfig"
	for file in "$root$libdir"/pkgconfig/*.pc; do
		sed "s|^prefix=.*|prefix=$root$prefix|" "$file" >"$root/pkgconfig/${file##*/}"
	done
	export PKG_CONFIG_PATH=$root/pkgconfig LD_LIBRARY_PATH=$root$libdir
}
