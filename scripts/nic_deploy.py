# SPDX-License-Identifier: Apache-2.0
"""The commands and the file of the README's section "Deploy", for the guests of scripts/nic-test."""
import re

from demo_common import SCRIPTS, Failed
from nic_guest import NIC_ADDRESS

README = SCRIPTS.parent / "README.md"
COMMANDS_MOST = 6
KEYS = ("node.key", "node-client.key")
CONFIG = "/etc/decree/node.conf"


def blocks(readme, section):
    """[(language, text)] of what is fenced there."""
    found = re.search(rf"^## {section}\n(.*?)(?=^## )", readme.read_text(), re.M | re.S)
    if not found:
        raise Failed(f"{readme} has no section '{section}'")
    return re.findall(r"^```(\w*)\n(.*?)^```$", found[1], re.M | re.S)


def replaced(text, *pairs):
    """Each must be there: what a reader has to change, the test has to change."""
    for old, new in pairs:
        if old not in text:
            raise Failed(f"README.md, Deploy: '{old}' was expected in\n{text}")
        text = text.replace(old, new)
    return text


class Deploy:
    """Commands come as they are typed by root, those before the file is written and the keys are made, the one that makes the data
    directory, and those after."""

    def __init__(self, queues, readme=README):
        commands, self.file = None, None
        for language, text in blocks(readme, "Deploy"):
            if language == "console":
                commands = re.findall(r"^\$ (.*)", text, re.M)
            elif language == "ini":
                self.file = text
        if not commands or not self.file:
            raise Failed("README.md, Deploy: there is no block of commands (console), or no file (ini)")
        if len(commands) > COMMANDS_MOST:
            raise Failed(f"README.md, Deploy: {len(commands)} commands are more than {COMMANDS_MOST}")
        self.queues = queues
        self.take(commands)

    def take(self, commands):
        typed = [re.sub(r"^sudo ", "", re.sub(r"\s+#.*", "", line)) for line in commands]
        formats = [i for i, line in enumerate(typed) if "decree format" in line]
        if len(formats) != 1:
            raise Failed("README.md, Deploy: exactly one command has to be 'decree format'")
        at = formats[0]
        self.prepare = replaced("\n".join(typed[:at]), ("0000:3b:00.0", NIC_ADDRESS)).split("\n")
        self.format_first = typed[at]
        self.format_other = replaced(typed[at], (" --new-keys", ""))
        self.start = typed[at + 1:]

    @property
    def keys(self):
        return re.search(rf"^key_file = (.*)/{KEYS[0]}$", self.file, re.M)[1]

    def node_file(self, node):
        return replaced(self.file, ("10.0.0.", "10.77.0."), ("0000:3b:00.0", NIC_ADDRESS), ("node = 1", f"node = {node}"),
                        ("[cluster]\n", f"[cluster]\nshards = {self.queues}\n"),
                        # What an emulated host needs besides.
                        ("[local]\n", "[local]\nidle = sleep\nlog_bytes = 64M\nsegment_bytes = 16M\n"))

    def client_file(self, folder):
        return replaced(self.node_file(1)[:self.node_file(1).index("[local]")], (self.keys, str(folder)))
