#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every metric that the dashboard, the alerts or operating.md name is one of the tables, every alert leads to a section
that is there, and the other way round.

    seeing.py ROOT
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1])
NAME = re.compile(r"\bdecree_[a-z_]+\b")
SUFFIX = re.compile(r"_(bucket|sum|count)\Z")
# DPDK's telemetry shows whole numbers.
NANOSECONDS = re.compile(r"_ns\Z")


def tables():
    """The names in the first columns of the X macros; the drops' is in metrics_table.c."""
    text = "".join((ROOT / path).read_text() for path in (
        "engine/runtime/metrics.h", "engine/runtime/metrics_table.c", "apps/queue_metrics.c"))
    return set(re.findall(r'"(decree_[a-z_]+)"', text))


def dashboard():
    board = json.loads((ROOT / "share/grafana/decree.json").read_text())
    texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    texts += [v["query"]["query"] for v in board["templating"]["list"] if isinstance(v["query"], dict)]
    return "\n".join(texts)


def main():
    known, wrong = tables(), []
    rules = (ROOT / "share/prometheus/decree.rules.yml").read_text()
    guide = (ROOT / "docs/operating.md").read_text()
    section = guide[guide.index("## Metrics"):guide.index("## Several groups")]
    # In the guide, code alone: decree_open() and the like are no metrics.
    for where, text in (("dashboard", dashboard()), ("rules", rules), ("operating.md", section)):
        names = {SUFFIX.sub("", name) if SUFFIX.sub("", name) in known else name
                 for name in NAME.findall(text) if not name.endswith("_")}
        names = {NANOSECONDS.sub("_seconds", name) for name in names}
        wrong += [f"{where}: there is no metric {name}" for name in sorted(names - known)]
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in guide.splitlines() if line.startswith("#")}
    alerts = re.findall(r"- alert: (\w+)", rules)
    books = re.findall(r"runbook: 'operating.md#([a-z0-9-]+)'", rules)
    wrong += [f"rules: operating.md has no section #{book}" for book in books if book not in headings]
    if len(alerts) != len(books):
        wrong.append("rules: an alert without a runbook")
    wrong += [f"operating.md does not explain {alert}" for alert in alerts if f"`{alert}`" not in section]
    promtool = shutil.which("promtool")
    if promtool and subprocess.run([promtool, "check", "rules", ROOT / "share/prometheus/decree.rules.yml"],
                                   stdout=subprocess.DEVNULL, check=False).returncode != 0:
        wrong.append("promtool does not like the rules")
    print("\n".join(wrong) or f"{len(known)} metrics, {len(alerts)} alerts")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
