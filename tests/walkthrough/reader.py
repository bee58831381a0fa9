#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every section of docs/operating.md that has something to type is done by a test, and one that rots is noticed.

usage: reader.py HEADING ...    (those that are done)
"""

import sys

import walkthrough

DISK = "5be1c0ffee123456"

# What is shown, what is said, whether that is the same.
ROWS = [
    ("the same", ["node 4: done"], ["node 4: done"], True),
    ("another word", ["node 4: done"], ["node 4: failed"], False),
    ("a small number is meant", ["epoch 3, q1 2"], ["epoch 4, q1 2"], False),
    ("a large one is an example", ["slot 2053, 360 bytes"], ["slot 9, 12345 bytes"], True),
    ("but not alone on its line", ["1000"], ["1500"], False),
    ("anything within a line", ["in ..."], ["in /var/lib/decree"], True),
    ("any lines", ["first", "...", "last"], ["first", "a", "b", "last"], True),
    ("no lines are lines, too", ["first", "...", "last"], ["first", "last"], True),
    ("a line more", ["first"], ["first", "second"], False),
    ("a line less", ["first", "second"], ["first"], False),
    ("columns", ["a  b"], ["a     b"], True),
    ("an id is one's own", ["disk " + DISK], ["disk 0011223344556677"], True),
    ("but the same one everywhere", ["disk " + DISK, "again " + DISK],
     ["disk 0011223344556677", "again 8899aabbccddeeff"], False),
    ("an id is an id", ["disk " + DISK], ["disk none"], False),
]

TEXT = """# Title
## A
### Empty
text
### First
```console
n1$ cat >file <<END
n2$ no command
END
n1$ decree read
5
```
<!-- walkthrough: n2 dies -->
```sh
n1$ of another kind
```
## Second
```console
client$ true
```
"""


def check(what, is_good):
    if not is_good:
        print(f"FAILED: {what}")
        sys.exit(1)


def main():
    for what, shown, said, is_same in ROWS:
        check(what, walkthrough.Names().match(shown, said) == is_same)
    names = walkthrough.Names()
    check("a name is learned", names.match(["disk " + DISK], ["disk 0011223344556677"]))
    check("and used", names.translate(f"add 4 {DISK}") == "add 4 0011223344556677")

    found = walkthrough.sections(TEXT)
    check("headings", list(found) == ["Title", "A", "Empty", "First", "Second"])
    check("no steps", not walkthrough.steps_of(found["Empty"]))
    steps = [(s.host, s.command, s.shown) for s in walkthrough.steps_of(found["First"])]
    check("steps", steps == [("n1", "cat >file <<END\nn2$ no command\nEND", []), ("n1", "decree read", ["5"]),
                             (None, "n2 dies", [])])

    with open(walkthrough.DOCUMENT, encoding="utf-8") as file:
        found = walkthrough.sections(file.read())
    done = set(sys.argv[1:])
    check("a heading that is none", done <= set(found))
    typed = {number for lines in found.values() for number, line in lines if line == "```console"}
    typed -= {number for heading in done for number, _ in found[heading]}
    check(f"nobody does what lines {sorted(typed)} of docs/operating.md say", not typed)


main()
