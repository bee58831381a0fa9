#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The headers of this tree keep what the last release promised; and scripts/abi would notice if they did not.

    abi.py SOURCE
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

# What is done to a copy of include/: (name, is it a break, file, text, its replacement).
PLANTED = [
    ("a function that goes", True, "libdecree.map", "\t\tdecree_poll;\n", ""),
    ("another type of an argument", True, "decree/node.h", "decree_propose(struct decree_proposer *proposer, const void *body, uint32_t",
     "decree_propose(struct decree_proposer *proposer, const void *body, uint64_t"),
    ("a member in the middle", True, "decree/client.h", "\tuint64_t boot_count;\n", "\tuint64_t planted;\n\tuint64_t boot_count;\n"),
    ("a member at the end of what the caller makes room for", True, "decree/client.h",
     "\tstruct decree_peer_row peers[DECREE_NODE_COUNT_MAX];\n};", "\tstruct decree_peer_row peers[DECREE_NODE_COUNT_MAX];\n\tint planted;\n};"),
    ("a member in the middle of what has its size", True, "decree/node.h", "\tuint32_t group_count;\n",
     "\tuint64_t planted;\n\tuint32_t group_count;\n"),
    ("another value", True, "decree/node.h", "DECREE_REFUSED = 1", "DECREE_REFUSED = 9"),
    ("another soname", True, "meson.build", "soversion: '0'", "soversion: '1'"),
    ("a member at the end of what has its size", False, "decree/node.h",
     "\tvoid (*on_log_line)(void *context, const struct decree_log_line *line);\n",
     "\tvoid (*on_log_line)(void *context, const struct decree_log_line *line);\n\tuint64_t planted;\n"),
    ("one more function", False, "decree/node.h", "DECREE_API\nint decree_start(",
     "DECREE_API\nint decree_planted(int how);\n\nDECREE_API\nint decree_start("),
]


def plant(include, file, text, replacement):
    path = include / file
    before = path.read_text()
    if before.count(text) != 1:
        sys.exit(f"FAILED: {file} has {text!r} {before.count(text)} times: this test is out of date")
    path.write_text(before.replace(text, replacement))


def main(source):
    source = pathlib.Path(source)
    check = [str(source / "scripts" / "abi")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, end="")
    if done.returncode:
        return done.returncode
    wrong = 0
    for name, is_break, *change in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            include = pathlib.Path(folder) / "include"
            shutil.copytree(source / "include", include)
            plant(include, *change)
            if name == "one more function":
                plant(include, "libdecree.map", "\t\tdecree_start;\n", "\t\tdecree_start;\n\t\tdecree_planted;\n")
            done = subprocess.run(check + ["--include", str(include)], capture_output=True, text=True, check=False)
        is_as_wanted = done.returncode == (1 if is_break else 0) and (not is_break or "scripts/abi --write" in done.stdout)
        print(f"{'ok' if is_as_wanted else 'FAILED'}: {name} is {'a' if is_break else 'no'} break")
        if not is_as_wanted:
            print(done.stdout + done.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
