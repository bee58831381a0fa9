#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The structures of share/python/decree.py lie in memory as those of the headers do.

    layout.py SOURCE
"""
import ctypes
import pathlib
import subprocess
import sys
import tempfile


def expectations(structures):
    """Lines of C that print what the compiler makes of each structure and member."""
    for name, structure in structures.items():
        yield f'printf("{name} %zu\\n", sizeof(struct {name}));'
        for member, *_ in structure._fields_:
            yield f'printf("{name}.{member} %zu+%zu\\n", offsetof(struct {name}, {member}), sizeof(((struct {name} *)0)->{member}));'


def claims(structures):
    for name, structure in structures.items():
        yield f"{name} {ctypes.sizeof(structure)}"
        for member, *_ in structure._fields_:
            field = getattr(structure, member)
            yield f"{name}.{member} {field.offset}+{field.size}"


def main(source):
    source = pathlib.Path(source)
    sys.path.insert(0, str(source / "share" / "python"))
    import decree
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        text = "\n".join(expectations(decree._STRUCTURES))
        (folder / "layout.c").write_text(
            f"#include <decree/client.h>\n#include <stdio.h>\nint main(void) {{\n{text}\nreturn 0; }}\n")
        subprocess.run(["cc", f"-I{source / 'include'}", str(folder / "layout.c"), "-o", str(folder / "layout")], check=True)
        real = subprocess.run([str(folder / "layout")], check=True, capture_output=True, text=True).stdout.splitlines()
    wrong = [(line, claim) for line, claim in zip(real, claims(decree._STRUCTURES), strict=True) if line != claim]
    for line, claim in wrong:
        print(f"FAILED: the headers have {line}, decree.py {claim}")
    print(f"{len(real) - len(wrong)} of {len(real)} sizes and offsets agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
