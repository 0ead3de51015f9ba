#!/usr/bin/env python3
"""Runs the Spin models beside this file: each is searched to its end without an error, and each variant that it names in its
head ("variants: 1 what is wrong") is a bug, which the search has to find.   usage: check.py [MODEL ...]"""
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def search(model, variant, where):
    """(what is wrong, states, whether all of them were seen)."""
    # Spin calls the preprocessor itself; pan.c is one model's checker.
    for command in (["spin", f"-DVARIANT={variant}", "-a", model],
                    ["gcc", "-O1", "-w", "-DSAFETY", "-DMEMLIM=1500", "-DVECTORSZ=2048", "-o", "pan", "pan.c"]):
        run = subprocess.run(command, cwd=where, capture_output=True, text=True)
        if run.returncode != 0 or "Error" in run.stdout:
            sys.exit(f"{' '.join(command)}:\n{run.stdout}{run.stderr}")
    out = subprocess.run(["./pan", "-m200000"], cwd=where, capture_output=True, text=True).stdout
    errors = re.search(r"errors: (\d+)", out)
    states = re.search(r"^\s*(\d+) states, stored", out, re.M)
    if not errors or not states:
        sys.exit(f"{model}: the search ended badly:\n{out}")
    what = re.search(r"^pan:1: (assertion violated|invalid end state)", out, re.M)
    is_whole = "Search not completed" not in out and "max search depth too small" not in out
    return (what[1] if what else "an error") if int(errors[1]) else None, int(states[1]), is_whole


def check(model):
    name = os.path.basename(model)
    with open(model, encoding="utf-8") as file:
        variants = re.findall(r"^ \* variants: (\d+) (.*)$", file.read(), re.M)
    if not variants:
        sys.exit(f"{name}: names no variants")
    is_good = True
    for variant, what in [("0", None), *variants]:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as where:
            wrong, states, is_whole = search(model, variant, where)
        is_right = bool(wrong) if what else not wrong and is_whole
        if what:
            verdict = f"found ({wrong})" if wrong else "NOT FOUND"
        else:
            verdict = "holds" if is_right else f"FAILS ({wrong})" if wrong else "NOT SEARCHED TO THE END"
        print(f"{name:20} {what or 'as it is':72.72} {verdict}, {states} states, {time.monotonic() - begun:.1f} s", flush=True)
        is_good = is_good and is_right
    return is_good


def main():
    models = sys.argv[1:] or sorted(os.path.join(HERE, f) for f in os.listdir(HERE) if f.endswith(".pml"))
    results = [check(os.path.abspath(m)) for m in models]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
