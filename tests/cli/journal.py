#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""decreed's lines: with fields where the journal listens, plain elsewhere, DPDK's among them; and a reader that has stopped reading stops nothing.

    journal.py DECREED SOURCE_ROOT
"""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
DEADLINE_S = 60
PATIENCE_US = 400_000
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
JOURNAL = "/run/systemd/journal/socket"
LEVELS = {"ERROR": 3, "WARNING": 4, "NOTICE": 5, "INFO": 6}
ROW = re.compile(r'X\((\w+), (\w+), "(\w+)", "([0-9a-f]{32})", *\\?\s*"')

libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def wait_until(what, condition):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise Failure(f"never: {what}")


# ------------------------------------------------------------------------------------------- documents

def kinds(root):
    """{word: (level, id)} of the two tables in the sources, which are those of the manual."""
    rows = {}
    for path in ("engine/runtime/notes.h", "apps/journal.h"):
        for _, level, word, message_id in ROW.findall((root / path).read_text(encoding="utf-8")):
            check(word not in rows, f"two kinds are called {word}")
            rows[word] = (LEVELS[level], message_id)
    check(len({message_id for _, message_id in rows.values()}) == len(rows), "two kinds have one id")
    text = (root / "docs/operating.md").read_text(encoding="utf-8").split("### The log's kinds of lines")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", text, re.M))
    wanted = {(word, next(name.lower() for name, n in LEVELS.items() if n == level)) for word, (level, _) in rows.items()}
    check(documented == wanted, f"docs/operating.md and the tables differ: {documented ^ wanted}")
    return rows


# ------------------------------------------------------------------------------------------- processes

@contextlib.contextmanager
def running(decreed, stderr, more):
    """decreed, standalone, with this standard error; its folder."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="journal-", dir="."))  # not in /tmp, which may be unable to hold a log
    process = subprocess.Popen([decreed, "--sandbox", "-b", str(work / "queue"), "-p", "0"], stderr=stderr,
                               env=dict(os.environ, **more))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(work)


def is_pending(process, number):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("ShdPnd:"):
            return int(line.split()[1], 16) >> (number - 1) & 1
    raise Failure("no ShdPnd")


def say_something(process):
    """A line is written for each SIGUSR1. When the second one has been taken, the first one's line has been dealt with."""
    for _ in range(2):
        process.send_signal(signal.SIGUSR1)
        wait_until("the signal was taken", lambda: not is_pending(process, signal.SIGUSR1))


def ends(process):
    process.send_signal(signal.SIGTERM)
    check(process.wait(DEADLINE_S) == 0, f"it ends with status {process.returncode} after SIGTERM")


# ------------------------------------------------------------------------------------------- the journal

class Journal:
    def __init__(self):
        os.makedirs(os.path.dirname(JOURNAL))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(JOURNAL)

    def next(self):
        self.socket.settimeout(DEADLINE_S)
        try:
            datagram = self.socket.recv(65536).decode()
        except TimeoutError:
            raise Failure("the journal heard nothing") from None
        check(datagram.endswith("\n"), f"no end: {datagram}")
        fields = dict(line.split("=", 1) for line in datagram[:-1].split("\n"))
        check(len(fields) == datagram.count("\n"), f"a field twice: {datagram}")
        return fields

    def until(self, event):
        heard = []
        while not heard or heard[-1].get("DECREE_EVENT") != event:
            heard.append(self.next())
        return heard

    def fill(self):
        """@return how many datagrams the journal does not read"""
        stranger, count = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), 0
        stranger.setblocking(False)
        while True:
            try:
                stranger.sendto(b"MESSAGE=of somebody else\n", JOURNAL)
                count += 1
            except BlockingIOError:
                return count


def own_run_folder():
    """A mount namespace with an empty /run. @return False: not allowed"""
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return False
    return libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, None) == 0


def check_fields(heard, rows):
    for fields in heard:
        level, message_id = rows[fields["DECREE_EVENT"]]
        check(fields["MESSAGE_ID"] == message_id, f"another id: {fields}")
        check(fields["DECREE_EVENT"] == "queue" or fields["PRIORITY"] == str(level), f"another level: {fields}")
        check(fields["SYSLOG_IDENTIFIER"] == "decreed" and fields["MESSAGE"], f"no message: {fields}")
        check(fields.get("DECREE_NODE") == "1" and int(fields["DECREE_CLUSTER"], 16), f"of which node? {fields}")
    check(any(f["DECREE_EVENT"] == "leader" and f["DECREE_GROUP"] == "0" for f in heard), "no leader of group 0")
    check(all("DECREE_GROUP" not in f for f in heard if f["DECREE_EVENT"] in ("ready", "starts")), "a group of none")


def test_journal(decreed, rows):
    journal = Journal()
    ours, theirs = socket.socketpair()  # standard error, as systemd makes it
    at = os.fstat(theirs.fileno())
    with running(decreed, theirs, {"JOURNAL_STREAM": f"{at.st_dev}:{at.st_ino}"}) as process:
        heard = journal.until("ready") + journal.until("listens")
        while not any(f["DECREE_EVENT"] == "leader" for f in heard):
            heard.append(journal.next())
        check_fields(heard, rows)

        count = journal.fill()
        say_something(process)
        for _ in range(count):
            check(journal.next()["MESSAGE"] == "of somebody else", "who said that?")
        say_something(process)
        lost = journal.next()
        check(lost["DECREE_EVENT"] == "lost" and re.match("[12] lines were lost", lost["MESSAGE"]), f"not told: {lost}")
        check(journal.until("drains")[0]["PRIORITY"] == "5", "another level")

        ends(process)
        check(journal.until("stops")[-1]["MESSAGE"] == "SIGTERM: stopping", "no last word")
    ours.setblocking(False)
    theirs.close()
    check(ours.recv(1) == b"", "the journal heard it, and standard error too")


# ------------------------------------------------------------------------------------------- a pipe that nobody reads

def fill_pipe(fd):
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            os.write(fd, b"." * 4096)
    except BlockingIOError:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)


def drain_pipe(fd):
    text = b""
    while select.select([fd], [], [], 0)[0]:
        text += os.read(fd, 65536)
    return text.decode()


def test_deaf_reader(decreed, folder):
    """A log reader that hangs must not make the service manager kill a healthy node."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(folder / "notify"))
    manager.settimeout(DEADLINE_S)
    reader, writer = os.pipe()
    fill_pipe(writer)
    environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(PATIENCE_US), "JOURNAL_STREAM": "1:1"}
    with running(decreed, writer, environment) as process:
        try:
            while not manager.recv(4096).startswith(b"READY=1"):
                pass  # the watchdog may be fed before
            for _ in range(5):
                say_something(process)
                while b"WATCHDOG=1" not in manager.recv(4096):
                    pass
        except TimeoutError:
            raise Failure("it waits for somebody to read its lines") from None
        check(set(drain_pipe(reader)) == {"."}, "a part of a line was written")
        say_something(process)
        text = wait_until("lines were read", lambda: drain_pipe(reader))
        check(re.match(r"\d+ lines were lost: nobody read them\ndecreed: SIGUSR1: ", text), f"not told: {text}")
        fill_pipe(writer)
        ends(process)


CONFIG = """[cluster]
id = 1
auth = none
[node 1]
ip = 127.0.0.1
[local]
node = 1
data_dir = {folder}/data
log_bytes = 64M
segment_bytes = 16M
port = net_null0
eal_arg = --log-level=lib.*:debug
"""


def start_with_port(decreed, config, stderr):
    ours, theirs = os.pipe()
    with subprocess.Popen([decreed, "--machine", "log", "-c", str(config), "--ready-fd", str(theirs)], stderr=stderr,
                          pass_fds=[theirs]) as process:
        os.close(theirs)
        try:
            check(select.select([ours], [], [], DEADLINE_S)[0], "it waits for somebody to read DPDK's lines")
            check(os.read(ours, 100) == b"READY=1\n", "it does not start")
            ends(process)
        finally:
            process.kill()
            os.close(ours)


def test_dpdk_lines(decreed):
    """What DPDK has to say is read by who reads, and waits for nobody either."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="journal-", dir=".")).resolve()
    try:
        config = folder / "decree.ini"
        config.write_text(CONFIG.format(folder=folder), encoding="utf-8")
        subprocess.run([pathlib.Path(decreed).with_name("decree"), "format", "-c", config], check=True, stdout=subprocess.DEVNULL)
        reader, writer = os.pipe()
        start_with_port(decreed, config, writer)
        text = drain_pipe(reader)
        check("EAL: " in text and "decreed: " in text, f"where is what DPDK said? {text}")
        fill_pipe(writer)
        start_with_port(decreed, config, writer)
        check(set(drain_pipe(reader)) == {"."}, "a part of a line was written")
    finally:
        shutil.rmtree(folder)


def main():
    decreed, root = sys.argv[1], pathlib.Path(sys.argv[2])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="journal-"))
    try:
        rows = kinds(root)
        test_deaf_reader(decreed, folder)
        test_dpdk_lines(decreed)
        if not own_run_folder():
            print("skipped: no mount namespace of one's own here")
            return SKIPPED
        test_journal(decreed, rows)
        print("fields where the journal listens, and nobody waits for who does not read")
        return 0
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1
    finally:
        shutil.rmtree(folder)


sys.exit(main())
