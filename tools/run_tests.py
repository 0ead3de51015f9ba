#!/usr/bin/env python3
"""Runs the test suites and sums them up.

usage: run_tests.py BUILD_DIR [BUILD_DIR ...]   Meson suites of each build directory, then tests/flow and tests/browser
Prints a line per suite and, last, `N passed, N failed` over all cases; exits 1 if anything failed or no case ran.
"""
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cases_of(stdout, is_ok):
    """(passed, failed) of one program: cmocka's own count where it printed one, else the program is one case."""
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", stdout))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] .*?(\d+) test\(s\), listed below", stdout))
    if not is_ok and failed == 0:
        failed = 1
    if passed + failed == 0:
        passed = 1
    return passed, failed


def run_meson(build):
    """All Meson tests of a build directory."""
    log = os.path.join(build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    run = subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs"], cwd=ROOT)
    if not os.path.exists(log):
        print(f"  {build}: no tests ran")
        return 0, 1
    passed = failed = 0
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            test = json.loads(line)
            if test["result"] == "SKIP":
                print(f"  skipped: {test['name']}")
                continue
            p, f = cases_of(test.get("stdout", "") + test.get("stderr", ""), test["result"] == "OK")
            passed, failed = passed + p, failed + f
    if run.returncode != 0 and failed == 0:
        failed = 1
    return passed, failed


def run_node(folder):
    """Node's own test runner over a folder; its TAP summary is counted."""
    files = sorted(glob.glob(os.path.join(ROOT, folder, "*.test.mjs")))
    if not files:
        return 0, 0
    run = subprocess.run(["node", "--test", "--test-reporter=tap", *files] if node_major() >= 20
                         else ["node", "--test", *files],
                         cwd=ROOT, stdout=subprocess.PIPE, text=True)
    sys.stdout.write(run.stdout)
    passed = sum(int(n) for n in re.findall(r"^# pass (\d+)", run.stdout, re.M))
    failed = sum(int(n) for n in re.findall(r"^# fail (\d+)", run.stdout, re.M))
    if run.returncode != 0 and failed == 0:
        failed = 1
    return passed, failed


def node_major():
    out = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(out.strip().lstrip("v").split(".")[0])


def main():
    suites = []
    for build in sys.argv[1:]:
        suites.append((os.path.basename(build.rstrip("/")), run_meson(build)))
    for folder in ("tests/flow", "tests/browser"):
        suites.append((folder, run_node(folder)))
    total_passed = total_failed = 0
    print("\nsuites:")
    for name, (passed, failed) in suites:
        print(f"  {name}: {passed} passed, {failed} failed")
        total_passed += passed
        total_failed += failed
    print(f"{total_passed} passed, {total_failed} failed", flush=True)
    sys.exit(1 if total_failed or not total_passed else 0)


if __name__ == "__main__":
    main()
