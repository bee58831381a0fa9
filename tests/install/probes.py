#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The probes that docs/operating.md lists are those of the program, each a nop, also after what a package strips.

    probes.py DECREED SOURCE_ROOT
"""
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

PROBE = re.compile(r"Provider: (\w+)\s+Name: (\w+)\s+Location: 0x([0-9a-f]+),[^\n]*\n\s+Arguments: ?([^\n]*)")
NOP = 0x90


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def documented(root):
    """{name: number of arguments}"""
    text = (root / "docs/operating.md").read_text(encoding="utf-8").split("### Probes")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.M)
    check(rows, "no table of probes")
    check(len(dict(rows)) == len(rows), "a probe twice")
    return {name: len(re.findall("`", arguments)) // 2 for name, arguments in rows}


def probes_of(path):
    """[(name, address, number of arguments)]: one probe may be at several places."""
    notes = subprocess.run(["readelf", "--notes", "--wide", str(path)], check=True, capture_output=True, text=True).stdout
    found = [(name, int(at, 16), len(arguments.split())) for provider, name, at, arguments in PROBE.findall(notes)
             if provider == "decree"]
    check(found, "no probes")
    return found


def bytes_at(path, address):
    """The byte of the file that is loaded at this address."""
    image = path.read_bytes()
    offset, = struct.unpack_from("<Q", image, 32)
    entry_bytes, count = struct.unpack_from("<HH", image, 54)
    for i in range(count):
        kind, _, file_offset, first, _, in_file = struct.unpack_from("<IIQQQQ", image, offset + i * entry_bytes)
        if kind == 1 and first <= address < first + in_file:
            return image[file_offset + address - first]
    raise Failure(f"nothing is loaded at {address:#x}")


def run(decreed, root):
    wanted = documented(root)
    with tempfile.TemporaryDirectory() as folder:
        stripped = pathlib.Path(folder) / "decreed"
        subprocess.run(["strip", "--remove-section=.comment", "--remove-section=.note", "-o", stripped, decreed], check=True)
        found = probes_of(stripped)
        check({(name, count) for name, _, count in found} == set(wanted.items()),
              f"docs/operating.md and the program differ: {set(wanted.items()) ^ {(n, c) for n, _, c in found}}")
        for name, address, _ in found:
            check(bytes_at(stripped, address) == NOP, f"{name} at {address:#x} is no nop")
    print(len(wanted), "probes at", len(found), "places")


def main():
    try:
        run(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
        return 0
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1


sys.exit(main())
