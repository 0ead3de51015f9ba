#!/usr/bin/env python3
"""Runs the end-to-end scenarios against servers of other shapes than one embedded process, and sums them up.

usage: run_shapes.py [--build DIR] [--shapes NAME,...] [--list] [FILE ...]

A shape is a way to be deployed (tests/flow/deployment.mjs) and the real servers it stands on; --list names them. FILE is
`accounts` or `tests/flow/accounts.test.mjs`; without any, all of tests/flow and those of tests/flow/once that start plain
servers. The real servers of a shape are started once, by tests/services/run.mjs: every server under test has a database
and a prefix of its own in them. One file runs after the other, and each to its end, whatever failed before it.

Prints a line per shape and file with the names of what failed, and last `N passed, N failed`; exits 1 if anything failed or
nothing ran. A shape whose servers cannot be had is told as skipped, with the reason.
"""
import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from run_tests import ROOT, SKIPPED, count_node
from shapes import DEFAULT, SHAPES

FILE_S_MAX = 600

# Those of tests/flow/once that are about whatever startServer starts, not about engines or processes of their own.
ONCE = ("joins",)


def all_files():
    files = sorted(glob.glob(os.path.join(ROOT, "tests/flow/*.test.mjs")))
    return files + [os.path.join(ROOT, f"tests/flow/once/{name}.test.mjs") for name in ONCE]


def file_of(name):
    for place in (name, f"tests/flow/{name}.test.mjs", f"tests/flow/once/{name}.test.mjs"):
        if os.path.isfile(os.path.join(ROOT, place)):
            return os.path.join(ROOT, place)
    sys.exit(f"there is no {name}")


def run_file(file):
    """(output, return code) of one file under node --test; one that never ends is ended, with all it started."""
    process = subprocess.Popen(["node", "--test", "--test-reporter=spec", file], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        return process.communicate(timeout=FILE_S_MAX)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0] + f"\nit was not over after {FILE_S_MAX} s\n", 1
    except BaseException:  # whoever ends us ends it as well
        os.killpg(process.pid, signal.SIGKILL)
        raise


def failures(output):
    """The names of the tests that failed: of the innermost ones, for a group fails with any of its tests."""
    told = output.split("✖ failing tests:")[0]
    found = re.findall(r"^( *)✖ (.*?)(?: \([\d.]+ms\))?$", told, re.M)
    return [name for at, (depth, name) in enumerate(found) if not (at and len(found[at - 1][0]) > len(depth))]


def run_within(shape, files, results):
    """Inside of run.mjs, which has started the servers: a file after the other, a line of JSON for each."""
    for file in files:
        name = os.path.relpath(file, os.path.join(ROOT, "tests"))[:-len(".test.mjs")]
        began = time.monotonic()
        output, code = run_file(file)
        passed, failed = count_node(output, code)
        if failed:
            print(output, flush=True)
        said = {"file": name, "passed": passed, "failed": failed, "seconds": round(time.monotonic() - began),
                "names": failures(output) if failed else []}
        skipped = sum(int(n) for n in re.findall(r"^(?:#|ℹ) skipped (\d+)", output, re.M))
        with open(results, "a", encoding="utf-8") as out:
            out.write(json.dumps(said) + "\n")
        print(f"  {shape}: {name}: {passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
              + f" ({said['seconds']} s)", flush=True)


def run_shape(shape, files, build):
    """The results of one shape; None when its servers cannot be had."""
    servers, extra = SHAPES[shape]
    print(f"\n{shape}: over {servers.replace(',', ', ')}", flush=True)
    with tempfile.TemporaryDirectory(prefix="parlance-shapes-") as place:
        results = os.path.join(place, "results")
        done = subprocess.run(["node", "tests/services/run.mjs", servers, sys.executable, os.path.abspath(__file__),
                               "--within", shape, "--results", results, *files], cwd=ROOT,
                              env={**os.environ, **extra, "PARLANCE_BUILD": os.path.abspath(os.path.join(ROOT, build))})
        if done.returncode == SKIPPED:
            return None
        lines = []
        if os.path.exists(results):
            with open(results, encoding="utf-8") as text:
                lines = [json.loads(line) for line in text]
    if done.returncode or len(lines) != len(files):  # the servers did not start, or it was stopped half way
        lines.append({"file": "(not all files ran)", "passed": 0, "failed": 1, "seconds": 0, "names": []})
    return lines


def sum_up(results):
    print("\nshapes:")
    passed = failed = 0
    for shape, lines in results:
        if lines is None:
            print(f"  {shape}: skipped, its servers are not there (above)")
            continue
        for line in lines:
            print(f"  {shape}: {line['file']}: {line['passed']} passed, {line['failed']} failed ({line['seconds']} s)")
            for name in line["names"]:
                print(f"      failed: {name}")
        ok, bad = (sum(line[key] for line in lines) for key in ("passed", "failed"))
        print(f"  {shape}: {ok} passed, {bad} failed ({sum(line['seconds'] for line in lines)} s)")
        passed, failed = passed + ok, failed + bad
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--shapes", default=",".join(DEFAULT))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--within", help=argparse.SUPPRESS)
    parser.add_argument("--results", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if given.list:
        for name, (servers, _) in SHAPES.items():
            print(f"{name}: {servers}{'' if name in DEFAULT else ' (when asked for)'}")
        return
    files = [file_of(name) for name in given.files] or all_files()
    if given.within:
        run_within(given.within, files, given.results)
        return
    names = given.shapes.replace(",", " ").split()
    for name in names:
        if name not in SHAPES:
            sys.exit(f"no shape is called {name}; there are {', '.join(SHAPES)}")
    passed, failed = sum_up([(name, run_shape(name, files, given.build)) for name in names])
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
