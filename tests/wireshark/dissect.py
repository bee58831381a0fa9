#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The dissector, by tshark, on frames that the engine's own encoders wrote.

    dissect.py DECREE.LUA FRAMES EXPECTED CLIENT_PAYLOADS [--rewrite]

 - one of every message: the info column is what EXPECTED says, nothing is malformed, every type of the dissector's is there
 - every one cut short at every length, by its sender and by the capture, and thousands with bytes changed: a frame that cannot be read
   whole says so, and no Lua error ever
"""
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DISSECTOR, FRAMES, EXPECTED, PAYLOADS = sys.argv[1:5]


def tshark(path, *options):
    done = subprocess.run(
        ["tshark", "-n", "-o", "udp.check_checksum:FALSE", "-X", f"lua_script:{DISSECTOR}", "-r", path, *options],
        check=True, capture_output=True, text=True, errors="replace")
    if "error" in done.stderr.lower():
        sys.exit(f"tshark complains: {done.stderr}")
    return done.stdout


def fields(path, *names, options=()):
    wanted = [word for name in names for word in ("-e", name)]
    return [line.split("\t") for line in tshark(path, "-T", "fields", *wanted, *options).splitlines()]


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def look_at_good(path):
    rows = fields(path, "_ws.col.Info", "decree.type", "_ws.expert.message", "_ws.lua.error", "_ws.malformed")
    text = "".join(row[0] + "\n" for row in rows)
    if "--rewrite" in sys.argv:
        pathlib.Path(EXPECTED).write_text(text)
    if text != pathlib.Path(EXPECTED).read_text():
        sys.stdout.write(text)
        sys.exit("FAILED: it differs from expected.txt; with --rewrite it is written anew, to be read by you")
    complaints = [f"{row[0]}: {row[2:]}" for row in rows if any(row[2:])]
    check(not complaints, "expert infos in good frames: " + "; ".join(complaints))
    seen = {int(number) for row in rows for number in row[1].split(",") if number}
    source = pathlib.Path(DISSECTOR).read_text()
    known = {int(n) for table in re.findall(r"@enum (?:eng_msg_type|client_msg_type) .*?\}", source, flags=re.S)
             for n in re.findall(r"\[(\d+)\]", table)} | {22}
    check(seen == known, f"types without an example: {known - seen}; examples of unknown types: {seen - known}")
    print(len(rows), "frames,", len(seen), "types")


def look_at_bad(path):
    rows = fields(path, "_ws.col.Protocol", "frame.len", "frame.cap_len", "decree.malformed", "decree.unknown", "_ws.lua.error",
                  "_ws.expert.message", options=("-o", "decree.ports:7400"))
    kinds = collections.Counter()
    for number, (protocol, length, held, malformed, unknown, lua, message) in enumerate(rows, 1):
        check(protocol == "DECREE" and not lua, f"frame {number}: {protocol}: {lua}")
        if int(held) < int(length):
            kinds["cut by the capture"] += 1
            # What the capture kept may be all but the bytes of a body, which are shown as far as they go.
            check(not malformed and not unknown, f"frame {number} was cut by the capture only: {message}")
        elif malformed or unknown:
            kinds["malformed or unknown"] += 1
        else:
            kinds["read as something else"] += 1
    whole = tshark(path, "-V", "-o", "decree.ports:7400")
    # What Wireshark itself says of a dissector that ran off the end.
    for words in ("Lua Error", "[Malformed Packet", "[Packet size limited"):
        check(words not in whole, f"there is a {words}")
    print(dict(kinds))
    return kinds


def main():
    if shutil.which("tshark") is None:
        print("SKIPPED: no tshark")
        sys.exit(77)
    payloads = sorted(str(path) for path in pathlib.Path(PAYLOADS).iterdir())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        good, bad = f"{folder}/good.pcapng", f"{folder}/bad.pcapng"
        subprocess.run([FRAMES, "good", good, *payloads], check=True)
        look_at_good(good)
        subprocess.run([FRAMES, "bad", bad, *payloads], check=True)
        kinds = look_at_bad(bad)
        check(kinds["cut by the capture"] > 3000 and kinds["malformed or unknown"] > 3000, "too few were bad")


main()
