#!/usr/bin/env python3
"""Runs the test suites and sums them up.

usage: run_tests.py BUILD_DIR [BUILD_DIR ...]

Runs Meson's suites in each build directory, the browser client's own checks (web/), then tests/flow and tests/browser
under node --test with PARLANCE_BUILD naming the first build directory. tests/flow runs a second time against the last
build directory (the one with sanitizers) with every call between services packed and unpacked, so that whoever keeps
what is not theirs is found; tests/flow/once holds what is about time or numbers and runs the first time only.
What failed beside others is run once more, alone (second_look.py).
Prints a line per suite and, last, `N passed, N failed` over all cases; exits 1 if anything failed or no case ran.
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

from second_look import SecondLook
from shapes import SELECTION, SHAPES

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SILENCE_S = 600
SKIPPED = 77  # how tests/services/run.mjs ends when a server cannot be had


def count_unittest(output):
    """(passed, failed) by the summary of Python's unittest, None when there is none."""
    ran = re.search(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED)(?: \((.*)\))?$", output, re.M)
    if not ran:
        return None
    told = dict(re.findall(r"(failures|errors|skipped)=(\d+)", ran[2] or ""))
    failed = int(told.get("failures", 0)) + int(told.get("errors", 0))
    return int(ran[1]) - failed - int(told.get("skipped", 0)), failed


def count_program(output, is_ok):
    """(passed, failed) of one test program: its own count (cmocka's, unittest's) where it printed one, else one case.

    A program that died half way has no summary: what it had passed until then counts, and its death is one failure.
    """
    counted = count_unittest(output)
    if counted and bool(counted[1]) != is_ok:
        return counted
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", output))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test\(s\), listed below", output))
    if not is_ok and failed == 0:
        died_inside = not re.search(r"\[  PASSED  \] \d+ test", output)
        return (len(re.findall(r"\[       OK \]", output)) if died_inside else passed), 1
    return (passed, failed) if passed + failed else (1, 0)


def count_node(output, returncode):
    """(passed, failed) by the summary of node --test, in its TAP or its readable form."""
    passed = sum(int(n) for n in re.findall(r"^(?:#|ℹ) pass (\d+)", output, re.M))
    failed = sum(int(n) for n in re.findall(r"^(?:#|ℹ) fail (\d+)", output, re.M))
    failed += sum(int(n) for n in re.findall(r"^(?:#|ℹ) cancelled (\d+)", output, re.M))
    if returncode != 0 and failed == 0:
        failed = 1
    return passed, failed


def run_meson(build, names=()):
    """All Meson tests of a build directory, or those named: (name, result, output) of each, None when none ran.

    A sanitised build gets more time.
    """
    log = os.path.join(ROOT, build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    patience = "4" if "asan" in build or "tsan" in build else "2"
    # A finding of UBSan ends the program, as one of ASan does.
    environment = {"UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1", **os.environ}
    subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "-t", patience, *names],
                   cwd=ROOT, env=environment, check=False)
    if not os.path.exists(log):
        return None
    with open(log, encoding="utf-8") as lines:
        tests = [json.loads(line) for line in lines]
    return [(t["name"], t["result"], (t.get("stdout") or "") + (t.get("stderr") or "")) for t in tests]


def is_good(result):
    return result in ("OK", "EXPECTEDFAIL")


def judge_meson(build, look):
    """(passed, failed) cases of a build directory's Meson tests."""
    tests = run_meson(build)
    if not tests:
        print(f"  {build}: no tests ran")
        return 0, 1
    passed = failed = 0
    for name, result, output in tests:
        if result == "SKIP":
            print(f"  skipped: {name}")
            continue
        if not is_good(result) and look.is_allowed(output):
            alone = run_meson(build, [name.split(" / ")[-1]]) or [(name, "none", "")]
            if look.judge(f"{build}: {name}", all(is_good(t[1]) for t in alone)):
                _, result, output = alone[0]
        p, f = count_program(output, is_good(result))
        passed, failed = passed + p, failed + f
    return passed, failed


def end_group(process):
    print(f"ended, silent for {SILENCE_S} s or interrupted: {' '.join(process.args)[:200]}", flush=True)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_streaming(command, cwd, build, extra=None):
    """Runs a command, shows its output as it comes, and returns (output, return code).

    One that hangs, a test file that keeps something open after it failed, is ended with all that it started.
    """
    environment = dict(os.environ, PARLANCE_BUILD=os.path.join(ROOT, build), **(extra or {}))
    lines = []
    with subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", start_new_session=True) as process:
        patience = None
        try:
            while True:
                patience = threading.Timer(SILENCE_S, end_group, [process])
                patience.start()
                line = process.stdout.readline()
                patience.cancel()
                if not line:
                    break
                sys.stdout.write(line)
                sys.stdout.flush()
                lines.append(line)
        except BaseException:
            patience.cancel()
            end_group(process)
            raise
    return "".join(lines), process.returncode


def run_web(build):
    web = os.path.join(ROOT, "web")
    if not os.path.isdir(os.path.join(web, "node_modules")):
        return None
    print("\nweb: types, build, unit tests", flush=True)
    passed, failed = count_node(*run_streaming(["npm", "run", "--silent", "check"], web, build))
    print("\nweb: every state of every screen, in Chromium", flush=True)
    p, f = count_node(*run_streaming(["npm", "run", "--silent", "screens"], web, build))
    return passed + p, failed + f


def judge_files(files, build, extra, look, command=("node",)):
    """(passed, failed) cases of test files that Node's runner takes at once; None when a server they need is not there."""
    command = [*command, "--test", "--test-reporter=spec"]
    output, code = run_streaming([*command, *files], ROOT, build, extra)
    if code == SKIPPED:
        return None
    passed, failed = count_node(output, code)
    suspects = files_that_failed(output, files)
    if not failed or not suspects or not look.is_allowed(output, len(suspects)):
        return passed, failed
    alone = [count_node(*run_streaming([*command, file], ROOT, build, extra)) for file in suspects]
    was_good = [look.judge(os.path.relpath(file, ROOT), not f) for file, (_, f) in zip(suspects, alone)]
    return (passed + failed, 0) if all(was_good) else (passed, failed)


def files_that_failed(output, files):
    """The files that hold the cases which a run says failed; [] when one of them belongs to none.

    A case may stand in a module of cases that several files take in.
    """
    suspects = set()
    for place in set(re.findall(r"^test at (.+?):\d+:\d+$", output, re.M)):
        path = os.path.join(ROOT, place)
        holders = [f for f in files if f == path]
        if not holders:
            holders = [f for f in files if os.path.basename(place) in open(f, encoding="utf-8").read()]
        if not holders:
            return []
        suspects.update(holders)
    return sorted(suspects)


def run_node(name, pattern, build, look, extra=None, is_serial=False):
    """Node's own test runner over the files of a pattern; serial: one file after the other, whatever the cores."""
    files = sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True))
    if not files:
        return None
    print(f"\n{name}:", flush=True)
    if not shutil.which("node"):
        print("  there is no node")
        return 0, len(files)
    passed = failed = 0
    for group in [[f] for f in files] if is_serial else [files]:
        p, f = judge_files(group, build, extra, look)
        passed, failed = passed + p, failed + f
    return passed, failed


def run_in_shape(shape, names, build, look):
    """A selection of tests/flow over the servers of a shape."""
    servers, extra = SHAPES[shape]
    print(f"\ntests/flow, {shape}:", flush=True)
    files = [os.path.join(ROOT, "tests", "flow", f"{name}.test.mjs") for name in names]
    return judge_files(files, build, extra, look, ("node", "tests/services/run.mjs", servers, "node"))


def main():
    builds = [b.rstrip("/") for b in sys.argv[1:]]
    if not builds:
        sys.exit(__doc__)
    look = SecondLook()
    suites = [(build, judge_meson(build, look)) for build in builds]
    suites.append(("web", run_web(builds[0])))
    for name, pattern, build, extra in (
        ("tests/flow", "tests/flow/**/*.test.mjs", builds[0], None),
        (f"tests/flow, {builds[-1]}, calls packed", "tests/flow/*.test.mjs", builds[-1],
         {"PARLANCE_SERVICES_PACK_CALLS": "true"}),
    ):
        suites.append((name, run_node(name, pattern, build, look, extra)))
    for shape, names in SELECTION:
        suites.append((f"tests/flow, {shape}", run_in_shape(shape, names, builds[0], look)))
    # Each file has several pages that encode and decode: two at a time would only be slower.
    suites.append(("tests/browser", run_node("tests/browser", "tests/browser/**/*.test.mjs", builds[0], look, None, True)))
    total_passed = total_failed = 0
    print("\nsuites:")
    for name, counts in suites:
        if counts is None:
            print(f"  {name}: not there")
            continue
        print(f"  {name}: {counts[0]} passed, {counts[1]} failed")
        total_passed += counts[0]
        total_failed += counts[1]
    look.tell()
    print(f"{total_passed} passed, {total_failed} failed", flush=True)
    sys.exit(1 if total_failed or not total_passed else 0)


if __name__ == "__main__":
    main()
