#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a section of a document quotes of a program is in that program, line by line.

    quotes.py DOCUMENT HEADING PROGRAM
"""
import sys


def quotes_of(lines, heading):
    """Each ```c or ```cpp block between that heading and the next one of its level, as a list of lines."""
    quotes, is_inside, quote = [], False, None
    for line in lines:
        if quote is not None and line == "```":
            quotes.append(quote)
            quote = None
        elif quote is not None:
            quote.append(line)
        elif line.startswith("## "):
            is_inside = line == "## " + heading
        elif is_inside and line in ("```c", "```cpp"):
            quote = []
    return quotes


def main(document, heading, program):
    with open(document) as file:
        quotes = quotes_of(file.read().splitlines(), heading)
    with open(program) as file:
        text = "\n" + file.read()
    lost = [quote for quote in quotes if "\n" + "\n".join(quote) + "\n" not in text]
    for quote in lost:
        print(f"FAILED: {document} quotes what {program} does not have:\n" + "\n".join(quote))
    if not quotes:
        print(f"FAILED: {document} quotes nothing below '## {heading}'")
    print(f"{len(quotes) - len(lost)} of {len(quotes)} quotes are in {program}")
    return 1 if lost or not quotes else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
