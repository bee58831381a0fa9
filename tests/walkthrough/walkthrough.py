#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does what a section of docs/operating.md says, line by line, and holds what comes out against what it shows.

usage: walkthrough.py SECTION ...        (the headings; without one: what sections there are)

The hosts n1 to n5 and `client` are network namespaces on one switch (scripts/cluster); a shell of its own runs on each, in
a folder of its own. n1 to n3 begin as a running cluster. In the section's ```console blocks

    n4$ decree format -c decree.ini          is given to n4's shell, and must end with status 0, or with another
    node 4 of cluster 5a1f0c77d2e94b31: ...  one if a line is shown that begins with "decree" and a colon
    disk 5be1c0ffee123456

and what is shown below it is compared, where something is shown:
  - "..." stands for anything, and as a line of its own for any lines;
  - a number of three digits or more stands for any number, unless it is all of the line, and blanks for any blanks;
  - a word of 16 hexadecimal digits stands for the one that came out here, in whatever follows, commands too.
A command that only asks is repeated until its output is as shown. `systemctl start|stop|restart decreed` does to
the host's node what it says. Things that nobody types stand in comments that no reader sees:

    <!-- walkthrough: load -->      commands flow in from the client from here to the end, and none may be lost
    <!-- walkthrough: n3 dies -->   with its disk
    <!-- walkthrough: n4 is named -->   in the files of n1 to n3, as one that joins; they read it when they start next
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("DECREE_BIN", TOP + "/build/apps")
NEXT = os.environ.get("DECREE_NEXT", TOP + "/build/tests/next")
DOCUMENT = TOP + "/docs/operating.md"
HOSTS = ("n1", "n2", "n3", "n4", "n5", "client")
WAIT_S = 60
CLUSTER_ID = "5a1f0c77d2e94b31"
MARK = "--- end of command"

# A shown answer of these may be that of a later moment.
QUESTION = re.compile(r"decree (status|read|log|member -c \S+ list|upgrade -c \S+$)|journalctl ")


class Failed(Exception):
    pass


# ------------------------------------------------------------------------------ the document


class Step:
    """One command, or one thing that happens, with what is shown below it."""

    def __init__(self, line, host, command):
        self.line = line
        self.host = host  # None: it happens
        self.command = command
        self.shown = []


def sections(text):
    """Heading -> [(line number, line)] up to the next heading of its level or above."""
    found, open_ones, is_fenced = {}, [], False
    for number, line in enumerate(text.splitlines(), 1):
        is_fenced ^= line.startswith("```")
        heading = None if is_fenced else re.match(r"(#+) (.*)", line)
        if heading:
            level = len(heading[1])
            open_ones = [o for o in open_ones if o[0] < level] + [(level, heading[2])]
            found[heading[2]] = []
        for _, name in open_ones:
            found[name].append((number, line))
    return found


def take_command(lines, at):
    """The command that begins at lines[at]: with the lines of its <<END, if there is one. -> (command, next)"""
    command = lines[at][1].split("$ ", 1)[1]
    word = re.search(r"<<'?(\w+)'?", command)
    at += 1
    while word:
        if at == len(lines):
            raise Failed(f"line {lines[-1][0]}: no {word[1]} that ends the file")
        command += "\n" + lines[at][1]
        at += 1
        if lines[at - 1][1] == word[1]:
            break
    return command, at


def steps_of(lines):
    steps, at, is_console = [], 0, False
    while at < len(lines):
        number, line = lines[at]
        at += 1
        happening = re.fullmatch(r"<!-- walkthrough: (.*) -->", line)
        if line.startswith("```"):
            is_console = line == "```console"
        elif happening and not is_console:
            steps.append(Step(number, None, happening[1]))
        elif is_console and re.match(r"(n\d|client)\$ ", line):
            command, after = take_command(lines, at - 1)
            steps.append(Step(number, line.split("$", 1)[0], command))
            at = after
        elif is_console:
            if not steps or steps[-1].host is None:
                raise Failed(f"line {number}: output without a command")
            steps[-1].shown.append(line)
    return steps


# ------------------------------------------------------------------------------ shown and said


class Names:
    """What the document calls 5be1c0ffee123456 has another number here."""

    WORD = re.compile(r"\b[0-9a-f]{16}\b")

    def __init__(self):
        self.real = {CLUSTER_ID: CLUSTER_ID}

    def translate(self, text):
        return self.WORD.sub(lambda m: self.real.get(m[0], m[0]), text)

    def pattern(self, shown):
        """-> regular expression, [shown names that it captures]"""
        names, parts = [], []
        for part in re.split(r"(\.\.\.|\b[0-9a-f]{16}\b|\b\d{3,}\b|\s+)", shown.strip()):
            if part == "...":
                parts.append(".*")
            elif self.WORD.fullmatch(part) and part not in self.real:
                parts.append("([0-9a-f]{16})")
                names.append(part)
            elif self.WORD.fullmatch(part):
                parts.append(self.real[part])
            elif re.fullmatch(r"\d{3,}", part) and part != shown.strip():
                parts.append(r"\d+")
            else:
                parts.append(r"\s+" if part.isspace() else re.escape(part))
        return "".join(parts), names

    def match(self, shown, said):
        """All of what was said is as shown. Learns names."""
        if not shown:
            return not said
        if shown[0].strip() == "...":
            return any(self.match(shown[1:], said[i:]) for i in range(len(said) + 1))
        if not said:
            return False
        pattern, names = self.pattern(shown[0])
        found = re.fullmatch(pattern, said[0].strip())
        if not found:
            return False
        before = dict(self.real)
        self.real.update(zip(names, found.groups()))
        if self.match(shown[1:], said[1:]):
            return True
        self.real = before
        return False


# ------------------------------------------------------------------------------ the hosts


def cluster(*arguments, **options):
    return subprocess.run([TOP + "/scripts/cluster", *arguments], **options)


class Shell:
    """The shell of one host: a line in, its output and status out."""

    def __init__(self, host, folder, environment):
        where = ["exec"] if host == "client" else ["exec-on", host[1:]]
        self.output = []
        self.has_more = threading.Condition()
        self.process = subprocess.Popen([TOP + "/scripts/cluster", *where, "bash", "--norc"], cwd=folder,
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            with self.has_more:
                self.output.append(line.rstrip("\n"))
                self.has_more.notify()

    def ended(self):
        return next((i for i, line in enumerate(self.output) if MARK in line), None)

    def run(self, command, wait_s=3 * WAIT_S):
        """-> status, [lines]"""
        self.process.stdin.write(f"{command}\necho \"{MARK} $?\"\n")
        self.process.stdin.flush()
        with self.has_more:
            if not self.has_more.wait_for(lambda: self.ended() is not None, wait_s):
                raise Failed(f"no end of '{command}' after {wait_s} s: {self.output}")
            at = self.ended()
            lines, self.output = self.output[:at + 1], self.output[at + 1:]
        rest, status = lines.pop().split(MARK)
        return int(status), lines + ([rest] if rest else [])

    def close(self):
        self.process.stdin.close()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class World:
    """The hosts, their folders, and the nodes on them."""

    def __init__(self, work):
        self.folder = work + "/cluster"
        self.work = work
        os.environ["DECREE_CLUSTER_DIR"] = self.folder
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        self.shells = {}
        self.load = None

    def home(self, host):
        return f"{self.folder}/{'clienthost' if host == 'client' else 'node' + host[1:]}"

    def programs(self, host):
        """What is installed there: a link to the programs of this build, or of the next one."""
        return f"{self.work}/programs-{host}"

    def write_configuration(self, host):
        text = f"[cluster]\nid = {CLUSTER_ID}\nkey_file = cluster.key\nclient_key_file = client.key\n"
        for n in 1, 2, 3:
            text += f"\n[node {n}]\nip = 10.77.0.{n}\n"
        if host != "client":
            text += f"\n[local]\nnode = {host[1:]}\ndata_dir = data\nlog_bytes = 128M\nport = net_af_packet0,iface=eth0\n"
        with open(self.home(host) + "/decree.ini", "w", encoding="utf-8") as file:
            file.write(text)

    def set_up(self):
        if cluster("up", "-n", "5", "--joiners", "2", "--no-start", "--log-bytes", str(128 << 20)).returncode != 0:
            raise Failed("no hosts")
        tools = self.work + "/bin"
        os.makedirs(self.home("client"))
        os.makedirs(tools)
        with open(tools + "/scp", "w", encoding="utf-8") as file:
            file.write(SCP)
        with open(tools + "/journalctl", "w", encoding="utf-8") as file:
            file.write(JOURNALCTL)
        with open(tools + "/apt-get", "w", encoding="utf-8") as file:
            file.write(APT_GET)
        os.chmod(tools + "/scp", 0o755)
        os.chmod(tools + "/journalctl", 0o755)
        os.chmod(tools + "/apt-get", 0o755)
        for host in HOSTS:
            self.furnish(host)
            os.symlink(BIN, self.programs(host))
            environment = dict(os.environ, PATH=f"{tools}:{self.programs(host)}:{os.environ['PATH']}",
                HOSTS_FOLDER=self.folder, OLD=BIN, NEXT=NEXT, PROGRAMS=self.programs(host))
            self.shells[host] = Shell(host, self.home(host), environment)
        for n in "123":
            if cluster("start", n).returncode != 0:
                raise Failed(f"node {n} does not start")

    def furnish(self, host):
        """The folder of a founding node is as `decree format` and an operator left it; that of n4 and n5 is empty."""
        home = self.home(host)
        subprocess.run(["rm", "-rf", home + "/data", home + "/decree.ini"], check=True)
        if host in ("n4", "n5"):
            return
        self.write_configuration(host)
        for key in ("client.key",) if host == "client" else ("cluster.key", "client.key"):
            subprocess.run(["cp", "-p", f"{self.folder}/{key}", home], check=True)
        if host != "client":
            subprocess.run([BIN + "/decree", "format", "-c", home + "/decree.ini"], check=True, stdout=subprocess.DEVNULL)

    def pid(self, n):
        """Of node n's process, if that very one still runs."""
        try:
            with open(f"{self.folder}/node{n}/pid", encoding="utf-8") as file:
                pid, start = file.read().split()
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(") ", 1)[1].split()
            thread_count = len(os.listdir(f"/proc/{pid}/task"))
        except (OSError, ValueError):
            return None
        # A zombie has ended, if it is not that others of its threads still wait for the disk.
        is_gone = fields[0] == "Z" and thread_count <= 1
        return int(pid) if not is_gone and fields[19] == start else None

    def stop(self, n):
        pid = self.pid(n)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: self.pid(n) is None, f"node {n} had ended")

    def service(self, host, word):
        """-> status, [lines]"""
        n = host[1:]
        if word != "start":
            self.stop(n)
        if word == "stop":
            return 0, []
        done = cluster("start", n, capture_output=True, text=True, check=False,
            env=dict(os.environ, DECREE_BIN=self.programs(host)))
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def happen(self, what):
        if what == "load":
            self.load = Load(self)
        elif what == "n4 is named":
            for host in ("n1", "n2", "n3"):
                with open(self.home(host) + "/decree.ini", "a", encoding="utf-8") as file:
                    file.write("\n[node 4]\nip = 10.77.0.4\njoins = yes\n")
        elif re.fullmatch(r"n\d dies", what):
            cluster("kill", what[1])
            subprocess.run(["rm", "-r", self.home(what[:2]) + "/data"], check=True)
        else:
            raise Failed(f"nobody knows how '{what}' happens")

    def tear_down(self):
        if self.load:
            self.load.kill()
        for shell in self.shells.values():
            shell.close()
        cluster("down")


# Between the folders of the hosts.
SCP = """#!/bin/bash
names=()
for name in "$@"; do
	case $name in
	-*) names+=("$name") ;;
	n[0-9]:*) names+=("$HOSTS_FOLDER/node${name:1:1}/${name#*:}") ;;
	client:*) names+=("$HOSTS_FOLDER/clienthost/${name#*:}") ;;
	*) names+=("$name") ;;
	esac
done
exec cp "${names[@]}"
"""

# Of decree there are two versions: this build, and the next one (tests/next).
APT_GET = """#!/bin/bash
case "${*: -1}" in
decree=0.1.0) ln -sfn "$OLD" "$PROGRAMS" ;;
decree=0.2.0) ln -sfn "$NEXT" "$PROGRAMS" ;;
*) echo "apt-get: there is no $*" >&2 && exit 100 ;;
esac
"""

# What the host's node has said since its last start.
JOURNALCTL = """#!/bin/bash
sed -n '/^-- .* start$/h;//!H;${g;p}' log
"""


def wait_until(is_true, what):
    deadline = time.monotonic() + WAIT_S
    while not is_true():
        if time.monotonic() > deadline:
            raise Failed(f"waited {WAIT_S} s in vain until {what}")
        time.sleep(0.05)


# ------------------------------------------------------------------------------ the load


class Load:
    """Lines that flow in through `decree submit` on the client's host."""

    def __init__(self, world):
        self.world = world
        self.acks = world.work + "/acks"
        with open(world.work + "/submit.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([TOP + "/scripts/cluster", "exec", BIN + "/decree", "submit", "-c",
                world.home("client") + "/decree.ini", "--in-flight", "64", "--acks", self.acks],
                stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)
        self.is_ending = False
        self.thread = threading.Thread(target=self.feed, daemon=True)
        self.thread.start()
        self.grow(100)

    def feed(self):
        line = 0
        try:
            while not self.is_ending:
                self.process.stdin.write("".join(f"{i} a line of the load\n" for i in range(line, line + 20)))
                self.process.stdin.flush()
                line += 20
                time.sleep(0.02)
            self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass

    def count(self):
        try:
            with open(self.acks, "rb") as file:
                return file.read().count(b"\n")
        except FileNotFoundError:
            return 0

    def grow(self, more):
        goal = self.count() + more
        wait_until(lambda: self.count() >= goal, f"{more} more commands were acknowledged")

    def end(self):
        """Everything that was acknowledged is on every node, once, in one order."""
        self.grow(200)
        self.is_ending = True
        self.thread.join(WAIT_S)
        if self.process.wait(WAIT_S) != 0:
            raise Failed(f"the load ended with status {self.process.returncode}")
        wait_until(self.has_settled, "the nodes had applied the same")
        logs = []
        for n in self.nodes():
            logs.append(f"{self.world.work}/log{n}")
            with open(logs[-1], "wb") as file:
                self.decree("log", "--node", str(n), "--json", stdout=file, check=True)
        subprocess.run([TOP + "/scripts/compare", self.acks, *logs], check=True)

    def decree(self, command, *arguments, **options):
        return cluster("exec", BIN + "/decree", command, "-c", self.world.home("client") + "/decree.ini",
            *arguments, **options)

    def rows(self):
        out = self.decree("status", "--json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        return [row for row in map(json.loads, out.splitlines()) if row["member"] == "voter"]

    def nodes(self):
        return [row["node"] for row in self.rows()]

    def has_settled(self):
        rows = self.rows()
        return len(rows) >= 2 and len({(r["applied"], r["digest"]) for r in rows}) == 1 and \
            all(r["applied"] == r["chosen"] for r in rows)

    def kill(self):
        self.is_ending = True
        self.process.kill()
        self.process.wait()


# ------------------------------------------------------------------------------ walking


def carry_out(world, step, command):
    """-> status, [lines]"""
    service = re.fullmatch(r"systemctl (start|stop|restart) decreed", command)
    return world.service(step.host, service[1]) if service else world.shells[step.host].run(command)


def walk(world, names, step):
    if step.host is None:
        return world.happen(step.command)
    command = names.translate(step.command)
    is_refusal = any(re.match(r"decree\w*( \S+)?: ", line) for line in step.shown)
    deadline = time.monotonic() + WAIT_S
    while True:
        status, said = carry_out(world, step, command)
        is_good = (status != 0) == is_refusal and (not step.shown or names.match(step.shown, said))
        if is_good:
            return None
        if not QUESTION.match(command) or time.monotonic() > deadline:
            raise Failed("\n".join([f"{DOCUMENT}:{step.line}: on {step.host}: {command}", f"status {status}, and it said",
                *("    " + line for line in said), "where the document shows", *("    " + line for line in step.shown)]))
        time.sleep(0.1)


def run_section(heading, lines):
    steps, names = steps_of(lines), Names()
    if not steps:
        raise Failed(f"'{heading}' has no commands")
    with tempfile.TemporaryDirectory(prefix="decree-walk-", dir="/var/tmp") as work:
        world = World(work)
        try:
            world.set_up()
            for step in steps:
                print(f"{step.host or '--'}: {step.command.splitlines()[0]}", flush=True)
                walk(world, names, step)
            if world.load:
                world.load.end()
        finally:
            for n in "12345" if sys.exc_info()[0] else "":
                print(f"--- node {n}", *cluster("logs", n, capture_output=True, text=True).stdout.splitlines()[-12:], sep="\n")
            world.tear_down()


def main():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # the cluster goes, too
    with open(DOCUMENT, encoding="utf-8") as file:
        found = sections(file.read())
    if len(sys.argv) == 1:
        print("\n".join(name for name, lines in found.items() if any(line == "```console" for _, line in lines)))
        return 0
    if os.getuid() != 0 and subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "--net", "true"],
            stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("SKIPPED: network namespaces need root or user namespaces")
        return 77
    for heading in sys.argv[1:]:
        if heading not in found:
            print(f"FAILED: {DOCUMENT} has no section '{heading}'")
            return 1
        print(f"== {heading}")
        try:
            run_section(heading, found[heading])
        except (Failed, subprocess.CalledProcessError) as error:
            print(f"FAILED: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
