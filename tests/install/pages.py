#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the manual pages say everything that there is: commands and options of --help, keys of the configuration,
functions that the library exports, words that the scripts for a host take. What mandoc complains about fails, too.

    pages.py SOURCE BUILD DECREE DECREED LIST_KEYS DECREE_BENCH
"""
import pathlib
import re
import shutil
import subprocess
import sys

SOURCE, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
DECREE, DECREED, LIST_KEYS, DECREE_BENCH = sys.argv[3:7]
PAGES = SOURCE / "docs/man"
complaints = []


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def words(page):
    """The source of a page without its escapes, so that what it says can be looked up."""
    return (PAGES / page).read_text().replace("\\-", "-").replace("\\&", "")


def helps(*command):
    """What --help has to say: (commands or arguments that are words, options with their letters)."""
    text = run(*command, "--help")
    return (re.findall(r"^  ([a-z][a-z-]*) ", text, re.M),
            re.findall(r"^ +(?:-(\w), )?--([a-z0-9-]+)", text, re.M))


def check_options(page, section, *command):
    """Each option has to be an item of the section, with its letter."""
    arguments, options = helps(*command)
    if not options:
        complaints.append(f"{' '.join(command)} --help has no options: is it read as it is written?")
    items = re.findall(r"^\.It (.*)$", section, re.M)
    for letter, name in options:
        start = f"Fl {letter} , Fl -{name}" if letter else f"Fl -{name}"
        if not any(item == start or item.startswith(start + " ") for item in items):
            complaints.append(f"{page}: no '.It {start}' for {' '.join(command)}")
    known = {name for _, name in options}
    for name in re.findall(r"^\.It (?:Fl \w , )?Fl -([a-z0-9-]+)", section, re.M):
        if name not in known:
            complaints.append(f"{page}: {' '.join(command)} has no option --{name}")
    for argument in arguments:
        if not any(item.split()[:2] == ["Cm", argument] for item in items):
            complaints.append(f"{page}: no '.It Cm {argument}' for {' '.join(command)}")


def check_defaults(page, section, *command):
    """What --help has in brackets at the end of an option is its default, and the page says it as well."""
    rows = re.findall(r"^ +(?:-\w, )?--([a-z0-9-]+)(?: \S+)?  +(.*(?:\n {20,}.*)*)", run(*command, "--help"), re.M)
    items = dict(re.findall(r"^\.It (?:Fl \w , )?Fl -([a-z0-9-]+)[^\n]*\n(.*?)(?=^\.It |^\.El)", section, re.M | re.S))
    for name, text in rows:
        found = re.search(r"\(([^()]*)\)$", text)
        default = found and (re.split(r";", found[1])[0] if found[1] != "the default" else None)
        if default and not re.search(rf"^Default: {re.escape(default)}[.;]", items.get(name, ""), re.M):
            complaints.append(f"{page}: --{name} has no 'Default: {default}.' of {' '.join(command)} --help")


def check_commands():
    """Each command is a subsection of decree(1), or has a page of its own, and none is there that does not exist."""
    page, bench = words("decree.1"), words("decree-bench.1")
    sections = dict(re.findall(r"^\.Ss decree (\S+)\n(.*?)(?=^\.S[sh] )", page, re.M | re.S))
    commands = re.findall(r"^  ([a-z][a-z-]*) ", run(DECREE, "--help"), re.M)
    for command in commands:
        if f"\n.Nm decree {command}\n" in bench:
            if f"decree {command}" not in page:
                complaints.append(f"decree.1: nothing of decree {command}")
        elif command in sections:
            check_options("decree.1", sections[command], DECREE, command)
        else:
            complaints.append(f"decree.1: no '.Ss decree {command}'")
    for command in sections.keys() - set(commands):
        complaints.append(f"decree.1: there is no command {command}")


def check_keys():
    """Each key is an item of its section of decree.conf(5), and nothing else is."""
    sections = {name.split()[0]: set(re.findall(r"(?:^\.It|,) Cm (\S+)", text, re.M))
                for name, text in re.findall(r"^\.Ss The section ([^\n]*)\n(.*?)(?=^\.S[sh] )",
                                             words("decree.conf.5"), re.M | re.S)}
    there = set()
    for line in run(LIST_KEYS).replace("=", "").split():
        section, key = line.split(".")[0], line.split(".")[-1]
        there.add((section, key))
        if key not in sections.get(section, ()):
            complaints.append(f"decree.conf.5: no '.It Cm {key}' in the section {section}")
    for section, keys in sections.items():
        for key in keys:
            if (section, key) not in there:
                complaints.append(f"decree.conf.5: there is no key {key} in [{section}]")


def check_functions():
    """Each function that is exported has a page that declares it, under its own name or another's."""
    exported = re.findall(r"^\t\t(decree_\w+);", (SOURCE / "include/libdecree.map").read_text(), re.M)
    pages = sorted(path.name for path in PAGES.glob("*.3"))
    for function in exported:
        declaring = [page for page in pages if f".Fo {function}\n" in words(page)]
        alias = BUILD / "docs/man" / f"{function}.3"
        if len(declaring) != 1:
            complaints.append(f"{function} is declared in {declaring or 'no page'}: one '.Fo {function}' is wanted")
        elif declaring[0] != f"{function}.3" and not (
                alias.exists() and alias.read_text() == f".so man3/{declaring[0]}\n"):
            complaints.append(f"docs/man/meson.build: {function} leads to no page; it is in {declaring[0]}")
    for page in pages:
        for function in re.findall(r"^\.Fo (\S+)", words(page), re.M):
            if function not in exported:
                complaints.append(f"{page}: {function} is not exported")


def check_scripts():
    """Each word that a script for the host takes is an item of its page, and nothing else is."""
    for name in ("bind-nic", "hugepages"):
        usage = re.findall(rf"^#   {name} ([a-z]+)\b", (SOURCE / "scripts" / name).read_text(), re.M)
        items = re.findall(r"^\.It Cm (\S+)", words(f"decree-{name}.8"), re.M)
        if not usage or sorted(usage) != sorted(items):
            complaints.append(f"decree-{name}.8: has the words {items}, scripts/{name} takes {usage}")


def check_layout():
    """mandoc's opinion; only it cannot know pages that are not installed."""
    if shutil.which("mandoc") is None:
        print("mandoc is missing: the layout was not looked at")
        return
    files = sorted(PAGES.glob("*.[1358]"))
    lint = subprocess.run(["mandoc", "-T", "lint", *files], capture_output=True, text=True, check=False)
    complaints.extend(line for line in lint.stdout.splitlines() if "referenced manual not found" not in line)
    for page in files:
        for name, section in re.findall(r"^\.Xr (\S+) (\d)", page.read_text(), re.M):
            if not (PAGES / f"{name}.{section}").exists() and not (BUILD / "docs/man" / f"{name}.{section}").exists():
                complaints.append(f"{page.name}: there is no page {name}({section})")


check_commands()
check_options("decreed.8", words("decreed.8"), DECREED)
page = words("decree-bench.1")
for check in (check_options, check_defaults):
    check("decree-bench.1", page.split("\n.Ss ")[0], DECREE_BENCH)
    check("decree-bench.1", page.split("\n.Ss decree bench floor\n")[1].split("\n.S")[0], DECREE_BENCH, "floor")
check_options("decree-queue-move.1", words("decree-queue-move.1"), str(SOURCE / "scripts/queue-move"))
check_keys()
check_functions()
check_scripts()
check_layout()
print("\n".join(complaints) or "the pages say what the programs, the library and the configuration have")
sys.exit(1 if complaints else 0)
