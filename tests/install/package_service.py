#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the units of an installed package start, in a root without a service manager of its own: this is the manager.

    package_service.py ROOT UPGRADE...

It needs a network namespace of its own. The queue of one node takes jobs and listens on loopback alone; UPGRADE, a
command, installs the package over itself while it runs; what was changed in /etc is as it was changed, and the jobs are
there. Then a node of a cluster, by the configuration that the package brings.
"""
import os
import pathlib
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(sys.argv[1])
UPGRADE = sys.argv[2:]
UNITS = ROOT / "lib/systemd/system"
DEADLINE_S = 60


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def run(*command, status=0):
    """A command in the root; what it prints."""
    done = subprocess.run(["chroot", ROOT, *command], capture_output=True, text=True, check=False, timeout=DEADLINE_S,
                          stdin=subprocess.DEVNULL)
    output = done.stdout + done.stderr
    check(done.returncode == status, f"{' '.join(command)}: status {done.returncode}: {output}")
    return output


# ------------------------------------------------------------------------------------------ a unit


class Unit:
    """The lines of a unit that decide how its process is started."""

    def __init__(self, name):
        stem, _, instance = name.partition("@")
        text = (UNITS / (f"{stem}@.service" if instance else f"{stem}.service")).read_text()
        self.name = name
        self.lines = re.findall(r"^(\w+)=(.*)$", text.replace("%i", instance), re.M)

    def get(self, key):
        values = [value for name, value in self.lines if name == key]
        return values[-1] if values else ""

    def environment(self):
        path = self.get("EnvironmentFile")
        check(path.startswith("-/etc/default/"), f"{self.name} reads {path}")
        file = ROOT / path[2:]
        lines = file.read_text().splitlines() if file.exists() else []
        return dict(shlex.split(line)[0].split("=", 1) for line in lines if line and line[0] != "#")

    def command(self):
        """ExecStart, with a variable that is a word of its own split into words, as systemd does."""
        values = self.environment()
        words = []
        for word in self.get("ExecStart").split():
            words += values.get(word[1:], "").split() if word[0] == "$" else [word]
        return words


def raise_limits():
    """LimitNOFILE, LimitMEMLOCK, LimitCORE: as far as this machine lets."""
    for limit, value in ((resource.RLIMIT_NOFILE, 66560), (resource.RLIMIT_MEMLOCK, resource.RLIM_INFINITY), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(limit)[1]
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):
            resource.setrlimit(limit, (hard, hard))


def as_user(unit):
    """setpriv with the user, capabilities and no-new-privileges of the unit."""
    names = [name.removeprefix("CAP_").lower() for name in unit.get("AmbientCapabilities").split()]
    added = "".join(f",+{name}" for name in names)
    user = unit.get("User")
    check(user == "decree", f"{unit.name} runs as {user}")
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--inh-caps=-all" + added,
            "--ambient-caps=-all" + added, "--bounding-set=-all" + added, "--no-new-privs"]


class Service:
    """A process as the unit describes it, and what it tells its manager."""

    def __init__(self, name):
        self.unit = Unit(name)
        self.log = ROOT / "run/output"
        path = ROOT / "run/notify"
        path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        path.chmod(0o666)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "10000000"}
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(["chroot", ROOT, *as_user(self.unit), *self.unit.command()],
                                            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=raise_limits, umask=int(self.unit.get("UMask"), 8))

    def fail(self, what):
        self.process.kill()
        raise Failure(f"{self.unit.name}: {what}\n{self.log.read_text()}")

    def wait_for(self, line):
        """Until it tells so."""
        deadline = time.monotonic() + DEADLINE_S
        self.socket.settimeout(0.1)
        while time.monotonic() < deadline:
            try:
                if line in self.socket.recv(4096).decode().split("\n"):
                    return
            except TimeoutError:
                if self.process.poll() is not None:
                    self.fail(f"it ended with status {self.process.returncode}")
        self.fail(f"it never said {line}")

    def refuses(self):
        """It ends by itself; what it says."""
        if self.process.wait(DEADLINE_S) == 0:
            self.fail("it ended with status 0")
        return self.log.read_text()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.wait_for("STOPPING=1")
        if self.process.wait(DEADLINE_S) != 0:
            self.fail(f"status {self.process.returncode} after SIGTERM")


# ------------------------------------------------------------------------------------------ clients, and who listens


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.answers = self.socket.makefile("rb")

    def ask(self, request, answer):
        """Send, and expect an answer that begins so; the rest of its line."""
        self.socket.sendall(request)
        line = self.answers.readline()
        check(line.startswith(answer), f"{request} is answered {line}")
        return line[len(answer):].strip()

    def put(self, body):
        return self.ask(b"put 0 0 60 %d\r\n%s\r\n" % (len(body), body), b"INSERTED ")

    def reserve(self, body):
        number = self.ask(b"reserve-with-timeout 30\r\n", b"RESERVED ").split()[0]
        line = self.answers.readline()
        check(line == body + b"\r\n", f"the job is {line} instead of {body}")
        return number


def listening():
    """(address, port) of everything that waits for TCP connections or UDP datagrams; the kernel's notation for addresses."""
    found = set()
    for file, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in pathlib.Path("/proc/self/net", file).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                address, port = fields[1].split(":")
                found.add((file + " " + address, int(port, 16)))
    return found


def only_loopback(port):
    """The queue, and perhaps one socket on an address of loopback where `decree status` and the like ask."""
    found = listening()
    asked = {(where, at) for where, at in found if where.startswith("udp ") and where.endswith("7F") and at == 7400}
    check(len(asked) <= 1 and found - asked == {("tcp 0100007F", port)},
          f"listening: {found}, and not 127.0.0.1:{port} and a UDP port 7400 of loopback alone")


# ------------------------------------------------------------------------------------------ what is tried


def write_default(options):
    (ROOT / "etc/default/decreed").write_text(f'# by the operator\nDECREED_OPTIONS="{options}"\n')


def upgrade():
    done = subprocess.run(UPGRADE, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    check(done.returncode == 0, f"the upgrade failed: {done.stdout}{done.stderr}")


def one_node():
    service = Service("decreed")
    service.wait_for("READY=1")
    only_loopback(11300)
    client = Client(11300)
    client.put(b"first")
    client.put(b"second")
    first = client.reserve(b"first")

    configuration = ROOT / "etc/decree/node.conf"
    shipped = configuration.read_text()
    write_default("-l 127.0.0.1 -p 11400")
    configuration.write_text(shipped + "# by the operator\n")
    (ROOT / "run/asked").write_text("")
    upgrade()
    asked = (ROOT / "run/asked").read_text()
    check("try-restart decreed.service" in asked, f"an upgrade does not restart what runs: {asked}")
    check("decreed@" not in asked and " start " not in asked and "enable" not in asked, f"an upgrade asks for {asked}")
    check("by the operator" in configuration.read_text(), "the upgrade replaced /etc/decree/node.conf")
    configuration.write_text(shipped)

    client.ask(b"delete %s\r\n" % first, b"DELETED")
    service.stop()
    check(not listening(), f"stopped, and still listening: {listening()}")

    service = Service("decreed")
    service.wait_for("READY=1")
    only_loopback(11400)
    client = Client(11400)
    client.reserve(b"second")
    service.stop()
    print("decreed.service: jobs, on loopback alone, kept over an upgrade like the operator's settings")


def fill_in(configuration):
    """As an operator would: the keys that are needed, where they stand as comments."""
    text = configuration.read_text()
    for comment, line in (("#id =", "id = 5a1f0c77d2e94b31"), ("#[node 1]", "[node 1]"), ("#ip = 10.0.0.1", "ip = 10.0.0.1"),
                          ("#node = 1", "node = 1"), ("#port = net_af_packet0", "port = net_af_packet0")):
        check(text.count("\n" + comment) == 1, f"{configuration}: no single '{comment}'")
        text = text.replace("\n" + comment, "\n" + line)
    configuration.write_text(text)


def cluster_node():
    said = Service("decreed@node").refuses()
    check("[cluster] has no 'id'" in said and said.count("\n") == 1, f"decreed@node says of what was not set: {said}")

    fill_in(ROOT / "etc/decree/node.conf")
    for words in (("add", "eth1", "type", "veth", "peer", "name", "eth2"), ("set", "eth1", "up"), ("set", "eth2", "up")):
        subprocess.run(["ip", "link", *words], check=True)
    user = ("runuser", "-u", "decree", "--")
    check("root" not in run(*user, "id", "-un"), "runuser has no effect")
    run(*user, "decree", "format", "-c", "/etc/decree/node.conf", "--new-keys", "local.log_bytes=128M")
    (ROOT / "etc/default/decreed-node").write_text('DECREED_OPTIONS="local.log_bytes=128M queue.listen=127.0.0.1:11500"\n')
    service = Service("decreed@node")
    service.wait_for("READY=1")
    only_loopback(11500)
    client = Client(11500)
    client.put(b"third")
    client.reserve(b"third")
    service.stop()
    (ROOT / "etc/default/decreed-node").unlink()
    print("decreed@node.service: refuses an empty configuration, and runs with one that is filled in")


try:
    check(not listening(), f"something listens after the installation: {listening()}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    one_node()
    cluster_node()
except Failure as failure:
    print(f"FAILED: {failure}")
    sys.exit(1)
