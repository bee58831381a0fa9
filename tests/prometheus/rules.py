#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The alerts, by promtool: rules_test.yml holds when each fires and when not; and every alert is in there, firing.

    rules.py RULES RULES_TEST
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

RULES, TESTS = (pathlib.Path(argument) for argument in sys.argv[1:3])


def holds(rules):
    """Whether the tests hold for these rules."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        pathlib.Path(folder, "decree.rules.yml").write_text(rules)
        shutil.copy(TESTS, folder)
        done = subprocess.run(["promtool", "test", "rules", TESTS.name], cwd=folder, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def main():
    if shutil.which("promtool") is None:
        print("SKIPPED: no promtool")
        return 77
    rules, tests = RULES.read_text(), TESTS.read_text()
    fine, words = holds(rules)
    if not fine:
        print(words)
        return 1
    alerts = re.findall(r"- alert: (\w+)", rules)
    missing = []
    # An alert that never fires, or always does, is noticed.
    for expression in ("vector(0) > 1", "vector(1)"):
        broken = re.sub(r"(- alert: \w+\n\s+expr:).*?(\n\s+(?:for|labels):)", rf"\1 '{expression}'\2", rules, flags=re.S)
        words = holds(broken)[1]
        missing += [f"{alert} as {expression}" for alert in alerts if f"alertname: {alert}," not in words]
    for alert in missing:
        print(f"no test would notice: {alert}")
    print(len(alerts), "alerts")
    return 1 if missing else 0


sys.exit(main())
