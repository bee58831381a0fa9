#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""decreed under a service manager of this test's own: what it tells it, what it gives up, and that a shard that hangs
stops the feeding of the watchdog, while everything else goes on.

    service.py DECREED
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE_US = 400_000  # what the watchdog bears; it is fed four times as often
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # __WALL: threads, too
DEADLINE_S = 60

libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    pass


class Manager:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)

    def next(self, seconds):
        """The next message, None if there is none in time."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            return None

    def wait_for(self, line):
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            message = self.next(1)
            if message and line in message.split("\n"):
                return message
        raise Failure(f"the manager was never told {line}")

    def forget(self):
        """What was sent up to now."""
        while self.next(0.2):
            pass


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) != 0:
        raise Failure(f"ptrace({request:#x}): {os.strerror(ctypes.get_errno())}")


def thread_named(pid, name):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise Failure(f"there is no thread {name}")


def check_sandbox(pid):
    """Of each thread, also those of libraries; not of the kernel's for io_uring, which have no rights of their own."""
    wanted = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapAmb": 0, "NoNewPrivs": 1, "Seccomp": 2}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith("iou-"):
            continue
        status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines())
        for field, value in wanted.items():
            if int(status[field], 16) != value:
                raise Failure(f"thread {status['Name']}: {field} is {status[field]}")


def put(port):
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
        client.sendall(b"put 0 0 60 5\r\nhello\r\n")
        answer = client.makefile("rb").readline()
    if not answer.startswith(b"INSERTED"):
        raise Failure(f"a put is answered {answer}")


def port_of(log):
    for line in log.read_text().splitlines():
        if line.startswith("decreed: queue on 127.0.0.1:"):
            return int(line.rsplit(":", 1)[1])
    raise Failure("no port in the log")


def stop_shard(manager, shard):
    ptrace(PTRACE_SEIZE, shard)
    ptrace(PTRACE_INTERRUPT, shard)
    os.waitpid(shard, WALL)
    manager.forget()
    message = manager.next(5 * PATIENCE_US / 1e6)
    ptrace(PTRACE_DETACH, shard)
    if message is not None:
        raise Failure("the watchdog is fed though the shard does not run")


def run(manager, process, log):
    ready = manager.wait_for("READY=1")
    if "STATUS=node 1 of cluster" not in ready:
        raise Failure(f"no status: {ready}")
    check_sandbox(process.pid)
    port = port_of(log)
    put(port)
    for _ in range(3):
        manager.wait_for("WATCHDOG=1")

    stop_shard(manager, thread_named(process.pid, "decree-0"))
    manager.wait_for("WATCHDOG=1")
    put(port)

    process.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    if process.wait(DEADLINE_S) != 0:
        raise Failure(f"it ends with status {process.returncode} after SIGTERM")


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="service-", dir="."))  # not in /tmp, which may be unable to hold a log
    os.environ.update(NOTIFY_SOCKET=str((work / "notify").resolve()), WATCHDOG_USEC=str(PATIENCE_US))
    log = work / "log"
    manager = Manager(os.environ["NOTIFY_SOCKET"])
    with open(log, "w", encoding="utf-8") as to:
        process = subprocess.Popen([sys.argv[1], "--sandbox", "-b", str(work / "queue"), "-p", "0"], stderr=to)
    try:
        run(manager, process, log)
        print("ready, fed by its shard, stopping; nothing that it does not need is left to it")
        return 0
    except Failure as failure:
        print(f"FAILED: {failure}\n{log.read_text()}")
        return 1
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(work)


sys.exit(main())
