#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the dissector knows every number that the engine's headers name, and no other: a new message cannot be forgotten.

    tables.py SOURCE DECREE.LUA

A table of the dissector is held against an enum by its first line: { -- @enum NAME PREFIX_
"""
import pathlib
import re
import sys

SOURCE, DISSECTOR = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
HEADERS = ("engine/core", "engine/runtime", "net", "include/decree")
# Ends of enums, which are no values.
ENDS = re.compile(r"(^|_)(COUNT|AFTER)$")


def enums():
    """{name: {number: constant}} of all headers"""
    found = {}
    for folder in HEADERS:
        for path in (SOURCE / folder).glob("*.h"):
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
            for name, body in re.findall(r"enum (\w+) \{(.*?)\}", text, flags=re.S):
                pairs = re.findall(r"(\w+)\s*=\s*(\d+)", body)
                found[name] = {int(number): constant for constant, number in pairs}
    return found


def tables():
    """(enum, prefix, {number: name}) of the dissector"""
    for enum, prefix, body in re.findall(r"-- @enum (\w+) (\w+)\n(.*?)\}", DISSECTOR.read_text(), flags=re.S):
        yield enum, prefix, {int(n): word for n, word in re.findall(r"\[(\d+)\] = \"(\w+)\"", body)}


def spelled(constant, prefix):
    return constant.removeprefix(prefix).replace("_", "").lower()


def complaints():
    known = enums()
    count = 0
    for enum, prefix, table in tables():
        count += 1
        if enum not in known:
            yield f"there is no enum {enum}"
            continue
        wanted = {n: c for n, c in known[enum].items() if not ENDS.search(c.removeprefix(prefix))}
        for number, constant in wanted.items():
            name = table.get(number)
            if name is None:
                yield f"{enum}: the dissector does not know {constant} = {number}"
            elif name.lower() != spelled(constant, prefix):
                yield f"{enum}: {constant} = {number} is called {name}"
        for number in table.keys() - wanted.keys():
            yield f"{enum}: {number} is {table[number]} for the dissector, and nothing in the header"
    if count < 10:
        yield f"only {count} tables were found in {DISSECTOR}"
    bundle = re.search(r"BUNDLE_TYPE\s+(\d+)", (SOURCE / "engine/runtime/bundle.h").read_text())[1]
    if f"local BUNDLE = {bundle} " not in DISSECTOR.read_text():
        yield f"a bundle has type {bundle}"


wrong = list(complaints())
print("\n".join(wrong) or "the dissector's tables are the headers'")
sys.exit(1 if wrong else 0)
