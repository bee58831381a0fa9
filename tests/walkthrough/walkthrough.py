#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does what a section of docs/operating.md says, line by line, and holds what comes out against what it shows.

usage: walkthrough.py SECTION ...        (the headings; without one: what sections there are)

The hosts n1 to n5 and `client` are network namespaces on one switch (scripts/cluster); a shell of its own runs on each, in
a folder of its own, which has a user `decree`, and an /etc/decree and a /var/lib/decree of its own like a host on which the package was
installed. n1 to n3 begin as a running cluster. In the section's ```console blocks

    n4$ runuser -u decree -- decree format -c ...  is given to n4's shell, and must end with status 0, or with another
    node 4 of cluster 5a1f0c77d2e94b31: ...        one if a line is shown that begins with "decree" and a colon
    disk 5be1c0ffee123456

and what is shown below it is compared, where something is shown:
  - "..." stands for anything, and as a line of its own for any lines;
  - a number of three digits or more stands for any number, unless it is all of the line, and blanks for any blanks;
  - a word of 16 hexadecimal digits stands for the one that came out here, in whatever follows, commands too.
A command that only asks is repeated until its output is as shown. `systemctl start|stop|restart decreed@node` does to
the host's node what it says, as the user and with the capabilities of the unit; systemctl, journalctl, scp, apt-get and nc are played, and
take what is here and nothing else. Without root the user `decree` is played, too. Things that nobody types stand in comments that no reader sees:

    <!-- walkthrough: the queue -->     is the machine of the nodes, from the beginning; else it is the log
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
CONFIG = "/etc/decree/node.conf"
KEYS = {"cluster.key": "node.key", "client.key": "node-client.key"}  # of scripts/cluster, of the package
HOSTS = ("n1", "n2", "n3", "n4", "n5", "client")
WAIT_S = 60
CLUSTER_ID = "5a1f0c77d2e94b31"
MARK = "--- end of command"

USER_ID = 64738
CAPABILITIES = ",".join(["-all", "+net_raw", "+net_admin", "+bpf", "+ipc_lock"])  # of decreed@.service

# A shown answer of these may be that of a later moment.
QUESTION = re.compile(r"decree (status|read|tasks|log|member -c \S+ list|upgrade -c \S+$)|journalctl ")


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

    def __init__(self, host, folder, enter, environment):
        where = ["exec"] if host == "client" else ["exec-on", host[1:]]
        self.output = []
        self.has_more = threading.Condition()
        self.process = subprocess.Popen([TOP + "/scripts/cluster", *where, enter, folder, "bash", "--norc"], cwd=folder,
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

    def __init__(self, work, machine):
        self.machine = machine
        self.folder = work + "/cluster"
        self.work = work
        os.environ["DECREE_CLUSTER_DIR"] = self.folder
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        self.user = USER_ID if os.getuid() == 0 else 0  # in a user namespace there is one
        self.shells = {}
        self.load = None

    def home(self, host):
        return f"{self.folder}/{'clienthost' if host == 'client' else 'node' + host[1:]}"

    def programs(self, host):
        """What is installed there: the programs of this build, or of the next one."""
        return f"{self.work}/programs-{host}"

    def write_script(self, name, text):
        path = f"{self.work}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def listen(self, host):
        return "10.77.1." + host[1:] if self.machine == "queue" else "127.0.0.1"

    def write_configuration(self, host):
        keys = ("cluster.key", "client.key") if host == "client" else [f"/var/lib/decree/{key}" for key in KEYS.values()]
        text = f"[cluster]\nid = {CLUSTER_ID}\nkey_file = {keys[0]}\nclient_key_file = {keys[1]}\n"
        for n in 1, 2, 3:
            text += f"\n[node {n}]\nip = 10.77.0.{n}\n"
        if host != "client":
            text += f"\n[local]\nnode = {host[1:]}\ndata_dir = /var/lib/decree/node\nlog_bytes = 128M\n" \
                f"port = net_af_packet0,iface=eth0\n\n[queue]\nlisten = {self.listen(host)}:11300\n"
        with open(self.home(host) + ("/decree.ini" if host == "client" else "/etc/node.conf"), "w", encoding="utf-8") as file:
            file.write(text)

    def make_root(self):
        """What a host has of a root of its own: /etc with the user `decree`, and /var/lib."""
        os.chmod(self.work, 0o711)  # the programs are there
        os.makedirs(self.work + "/lib/decree")
        subprocess.run(["cp", "-a", "/etc", self.work], stderr=subprocess.DEVNULL, check=False)  # some are root's
        os.makedirs(self.work + "/etc/decree", exist_ok=True)
        for name, line in ("passwd", f"decree:x:{self.user}:{self.user}::/var/lib/decree:/usr/sbin/nologin\n"), \
                ("group", f"decree:x:{self.user}:\n"):
            path = f"{self.work}/etc/{name}"
            with open(path, encoding="utf-8") as file:
                lines = [known for known in file if not known.startswith("decree:")]
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines + [line])

    def make_tools(self):
        self.enter = self.write_script("enter", ENTER)
        for name, text in ("scp", SCP), ("journalctl", JOURNALCTL), ("apt-get", APT_GET), ("systemctl", SYSTEMCTL), ("nc", NC):
            self.write_script("bin/" + name, text)
        if os.getuid() != 0:
            self.write_script("bin/runuser", RUNUSER)
        as_user = f"setpriv --reuid=decree --regid=decree --init-groups --inh-caps={CAPABILITIES} " \
            f"--ambient-caps={CAPABILITIES} --bounding-set={CAPABILITIES} --no-new-privs" if os.getuid() == 0 else ""
        for n in "12345":
            self.write_script(f"service-n{n}/decreed", SERVICE.format(enter=self.enter, home=self.home("n" + n), as_user=as_user,
                programs=self.programs("n" + n), config=CONFIG, runtime=f"{self.work}/run-n{n}"))
            os.mkdir(f"{self.work}/run-n{n}")
            if os.getuid() == 0:
                os.chown(f"{self.work}/run-n{n}", self.user, self.user)

    def set_up(self):
        if cluster("up", "-n", "5", "--joiners", "2", "--no-start", "--log-bytes", str(128 << 20),
                "--machine", self.machine).returncode != 0:
            raise Failed("no hosts")
        self.make_root()
        self.make_tools()
        os.makedirs(self.home("client"))
        for host in HOSTS:
            os.makedirs(self.programs(host))
            environment = dict(os.environ, PATH=f"{self.work}/bin:{self.programs(host)}:{os.environ['PATH']}",
                HOSTS_FOLDER=self.folder, OLD=BIN, NEXT=NEXT, PROGRAMS=self.programs(host))
            subprocess.run([self.work + "/bin/apt-get", "install", "decree=0.1.0"], env=environment, check=True)
            self.furnish(host, environment)
        for n in "123":
            if self.service("n" + n, "start")[0] != 0:
                raise Failed(f"node {n} does not start")

    def furnish(self, host, environment):
        """The folders of a founding node are as `decree format` and an operator left them; those of n4 and n5 are empty."""
        home = self.home(host)
        subprocess.run(["rm", "-rf", home + "/data", home + "/decree.ini"], check=True)
        for name in "etc", "lib":
            os.makedirs(f"{home}/{name}")
        self.shells[host] = Shell(host, home, self.enter, environment)
        self.type(host, "chown root:decree /etc/decree && chmod 750 /etc/decree && "
            "chown decree: /var/lib/decree && chmod 700 /var/lib/decree")
        if host in ("n4", "n5"):
            return
        self.write_configuration(host)
        if host == "client":
            subprocess.run(["cp", "-p", f"{self.folder}/client.key", home], check=True)
            return
        for key, name in KEYS.items():
            self.type(host, f"install -o decree -g decree -m 600 {self.folder}/{key} /var/lib/decree/{name}")
        self.type(host, f"runuser -u decree -- decree format -c {CONFIG}")

    def type(self, host, command):
        status, said = self.shells[host].run(command)
        if status != 0:
            raise Failed(f"on {host}: {command}: {said}")

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
            env=dict(os.environ, DECREE_BIN=f"{self.work}/service-{host}"))
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def happen(self, what):
        if what == "the queue":
            return  # it is the machine from the beginning: run_section()
        if what == "load":
            self.load = Load(self)
        elif what == "n4 is named":
            for host in ("n1", "n2", "n3"):
                with open(self.home(host) + "/etc/node.conf", "a", encoding="utf-8") as file:
                    file.write("\n[node 4]\nip = 10.77.0.4\njoins = yes\n")
        elif re.fullmatch(r"n\d dies", what):
            cluster("kill", what[1])
            subprocess.run(["rm", "-r", self.home(what[:2]) + "/lib/node"], check=True)
        else:
            raise Failed(f"nobody knows how '{what}' happens")

    def tear_down(self):
        if self.load:
            self.load.kill()
        for shell in self.shells.values():
            shell.close()
        cluster("down")


# A process gets the host's own folders, in the mount namespace that `ip netns exec` has made for it.
ENTER = """#!/bin/bash
home=$1
shift
work=$(dirname "$(realpath "$0")")
mount --bind "$work/etc" /etc &&
	mount --bind "$work/lib" /var/lib &&
	mount --bind "$home/etc" /etc/decree &&
	mount --bind "$home/lib" /var/lib/decree &&
	exec "$@"
"""

# As decreed@node starts it. scripts/cluster names the machine, a file of its own, and where to say that it is ready.
SERVICE = """#!/bin/bash
machine=$1
shift 3
umask 077
ulimit -l unlimited 2>/dev/null
export RUNTIME_DIRECTORY={runtime}
exec {enter} {home} {as_user} {programs}/decreed --sandbox -c {config} "$machine" "$@"
"""

# Between the hosts. Whoever types it owns what comes.
SCP = """#!/bin/bash
names=()
for name in "$@"; do
	host=${name%%:*} path=${name#*:}
	case $name in
	-p) name=--preserve=mode,timestamps ;;
	n[0-9]:* | client:*)
		home=$HOSTS_FOLDER/node${host#n}
		[ "$host" != client ] || home=$HOSTS_FOLDER/clienthost
		case $path in
		/etc/decree/*) name=$home/etc/${path#/etc/decree/} ;;
		/var/lib/decree/*) name=$home/lib/${path#/var/lib/decree/} ;;
		/* | -* | '') echo "scp: nobody knows $name" >&2 && exit 1 ;;
		*) name=$home/$path ;;
		esac
		;;
	esac
	names+=("$name")
done
exec cp "${names[@]}"
"""

# Of decree there are two versions: this build, and the next one (tests/next).
APT_GET = """#!/bin/bash
case "${*: -1}" in
decree=0.1.0) from=$OLD ;;
decree=0.2.0) from=$NEXT ;;
*) echo "apt-get: there is no $*" >&2 && exit 100 ;;
esac
cp --remove-destination "$from/decree" "$from/decreed" "$PROGRAMS" && chmod 755 "$PROGRAMS"/*
"""

# What the host's node has said since its last start.
JOURNALCTL = """#!/bin/bash
[ "$*" = '-u decreed@node' ] || { echo "journalctl: nobody knows $*" >&2 && exit 1; }
sed -n '/^-- .* start$/h;//!H;${g;p}' log
"""

NC = """#!/bin/bash
exec 3<>"/dev/tcp/$1/$2" && cat >&3 && exec cat <&3
"""

# What of it is known is done by service().
SYSTEMCTL = """#!/bin/bash
echo "systemctl: nobody knows $*" >&2
exit 5
"""

# In a user namespace there is one user.
RUNUSER = """#!/bin/bash
[ "$1 $2 $3" = '-u decree --' ] || { echo "runuser: nobody knows $*" >&2 && exit 1; }
shift 3
exec "$@"
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
    service = re.fullmatch(r"systemctl (start|stop|restart) decreed@node", command)
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
        world = World(work, "queue" if any(s.host is None and s.command == "the queue" for s in steps) else "log")
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
