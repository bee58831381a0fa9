# SPDX-License-Identifier: Apache-2.0
"""One guest of scripts/nic-test: a QEMU process with a NIC, a disk, and a shell at a serial line."""
import contextlib
import json
import re
import socket
import subprocess
import threading
import time

from demo_common import Failed

BOOT_S = 180  # for what takes ten seconds on a machine that does nothing else
MEMORY_MIB = 768
NIC_ADDRESS = "0000:00:08.0"

MACHINE = ("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,la57=off", "-m", str(MEMORY_MIB),
           "-nodefaults", "-display", "none", "-no-reboot",
           # Without HPET, whose interrupts get lost where emulation stands still for long. An IOMMU that remaps interrupts too, as vfio-pci asks for.
           "-M", "q35,kernel-irqchip=split,hpet=off", "-device", "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on")
# The kernel would try the timer against the TSC at boot, and panic where emulation stood still just then. The second line spares a
# quarter of what a boot costs.
KERNEL_ARGUMENTS = ("console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable root=/dev/nvme0n1 rw"
                    " mitigations=off nokaslr audit=0 apparmor=0 nowatchdog rcupdate.rcu_expedited=1 cryptomgr.notests"
                    " random.trust_cpu=on")
NUDGE_S = 0.1


class Nudge(threading.Thread):
    """Makes up for an error of QEMU 7.2's virtio: RSS, which it does itself, moves a frame to another queue than the tap's that
    it came by; if the guest has no buffer there, the tap's is not read again before the guest asks for frames of *that* queue, which
    it never does if none comes. Setting the link up that is up already reads all queues.
    """

    def __init__(self, path):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))

    def say(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")

    def run(self):
        with contextlib.suppress(OSError):  # the guest was killed
            self.say("qmp_capabilities")
            while self.socket.recv(65536):
                time.sleep(NUDGE_S)
                self.say("set_link", name="net", up=True)


class Guest:
    """Survives the end of its process: start() boots it again from the same disk."""

    def __init__(self, number, case, image, folder):
        self.number = number
        self.case = case
        self.image = image
        self.folder = folder
        self.process = None
        self.line = None
        self.pending = b""  # what has come of an answer
        self.lock = threading.Lock()
        folder.mkdir()
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image / "disk"), str(folder / "disk")], check=True)

    @property
    def tap(self):
        return f"tap{self.number}"

    @property
    def mac(self):
        return f"02:de:c2:ee:00:{self.number:02x}"

    def start(self):
        """Boot it, and wait for its shell."""
        queues = f",queues={self.case.queues}" if self.case.queues > 1 else ""
        shell, monitor = self.folder / "shell", self.folder / "monitor"
        for path in (shell, monitor, self.folder / "console"):
            path.unlink(missing_ok=True)
        arguments = [
            *MACHINE, "-smp", str(self.case.queues), "-kernel", str(self.image / "vmlinuz"), "-append", KERNEL_ARGUMENTS,
            "-drive", f"if=none,id=disk,file={self.folder}/disk,format=raw,cache=writeback",
            "-device", "nvme,drive=disk,serial=decree",
            "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no{queues}",
            "-device", f"{self.case.device},netdev=net,mac={self.mac},bus=pcie.0,addr=0x8",
            "-serial", f"file:{self.folder}/console",
            "-chardev", f"socket,id=shell,path={shell},server=on,wait=off", "-serial", "chardev:shell",
            "-qmp", f"unix:{monitor},server=on,wait=off",
        ]
        with open(self.folder / "qemu", "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.connect(shell)
        if self.case.queues > 1:
            Nudge(monitor).start()

    def connect(self, path):
        """Not before somebody listens: what is written to a serial line that is not open may jam it."""
        deadline = time.monotonic() + BOOT_S
        while "nic: listening" not in self.tail("console"):
            self.check(deadline)
            time.sleep(0.2)
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(str(path))
        self.run("true")

    def receive(self, deadline, what=""):
        """What comes within a second; a guest that ended, or has had its time, is a failure."""
        self.line.settimeout(1)
        with contextlib.suppress(OSError):
            self.pending += self.line.recv(65536)
        self.check(deadline, what)

    def check(self, deadline, what=""):
        if self.process.poll() is not None:
            raise Failed(f"the guest of node {self.number} has ended: {self.tail('qemu')} {self.tail('console')}")
        if time.monotonic() > deadline:
            raise Failed(f"the guest of node {self.number} does not answer{what}: {self.tail('console')}")

    def tail(self, name):
        with contextlib.suppress(OSError):
            return (self.folder / name).read_text(errors="replace").strip()[-2000:]
        return ""

    def ask(self, command, deadline_s=BOOT_S):
        """Run a command there. @return its status and what it printed"""
        with self.lock:
            deadline = time.monotonic() + deadline_s
            self.pending = b""
            with contextlib.suppress(OSError):
                self.line.sendall(f"{command}\necho @@$?@\n".encode())
            while not (end := re.search(rb"@@(\d+)@\n", self.pending)):
                self.receive(deadline, f" to '{command}'")
            output = self.pending[:end.start()].decode(errors="replace").replace("\r", "")
            return int(end[1]), output

    def run(self, command, deadline_s=BOOT_S):
        """The same, and it must succeed. @return what it printed"""
        status, output = self.ask(command, deadline_s)
        if status != 0:
            raise Failed(f"node {self.number}: '{command}' ended with status {status}: {output.strip()[-2000:]}")
        return output

    def write(self, path, text):
        self.run(f"cat >{path} <<'@end@'\n{text}@end@")

    def is_there(self):
        return self.line is not None and self.process.poll() is None

    def kill(self):
        """As if somebody had pulled the plug."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.line is not None:
            self.line.close()
            self.line = None
