#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo runs when everything is installed and built: a text, a cluster, one of two stories about them (demo_queue.py,
demo_log.py), and the figures. It stops everything that it started. Ctrl-C does that too, at any moment. With KEEP=1 in the
environment what clients and nodes said stays for a closer look.

  demo.py queue|log [FILE]
"""
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import demo_log
import demo_queue
from demo_common import NODES, TRANSPORT, Cluster, Failed, Text, default_text, print_report, say, wait_for


def demo(story, path, folder):
    if path is None:
        path = folder / "text"
        default_text(path)
    text = Text(path.resolve())
    cluster = Cluster(folder / "cluster")
    say(f"{text.line_count} lines, {text.bytes} bytes; starting three nodes")
    try:
        cluster.run("up", "-n", len(NODES), "--transport", TRANSPORT, *story.cluster_arguments(text))
        wait_for("there was a leader", cluster.leader)
        result = story.run(text, cluster, folder)
        row = cluster.status()[result["killed"]]
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one Ctrl-C is enough; the next one waits
        cluster.run("down", check=False)
    summary, detail = story.report(text, result, row)
    print_report(summary, detail)
    return 0 if story.is_well(text, summary) else 1


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # On a disk, and not in /tmp, which may be memory: the logs are to be durable.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="decree-demo-", dir="/var/tmp"))
    story = {"queue": demo_queue, "log": demo_log}[sys.argv[1]]
    try:
        return demo(story, pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None, folder)
    except Failed as failure:
        say(f"demo: {failure}")
        return 1
    except KeyboardInterrupt:
        say("\ndemo: stopped")
        return 130
    finally:
        if os.environ.get("KEEP"):
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
