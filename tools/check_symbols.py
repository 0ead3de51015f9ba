#!/usr/bin/env python3
"""Finds global symbols of ours that a library we link also has: the loader would give the library our function.

usage: check_symbols.py BUILD_DIR
"""
import glob
import os
import subprocess
import sys


def symbols(path, *flags):
    """Names that a file defines for others."""
    run = subprocess.run(["nm", "-g", "--defined-only", *flags, path], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    lines = (line.split() for line in run.stdout.splitlines())
    return {parts[2].split("@")[0] for parts in lines if len(parts) == 3 and parts[1] in "TDBRVWi"}


def libraries(build):
    """Every shared library that one of our programs loads, by path."""
    found = set()
    for program in sorted(glob.glob(os.path.join(build, "**", "*"), recursive=True)):
        if not os.path.isfile(program) or not os.access(program, os.X_OK) or program.endswith(".so"):
            continue
        with open(program, "rb") as head:
            if head.read(4) != b"\x7fELF":
                continue
        run = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found.update(part for part in run.stdout.split() if part.startswith("/"))
    return found


def main():
    build = sys.argv[1]
    ours = {}
    for archive in glob.glob(os.path.join(build, "src", "**", "*.a"), recursive=True):
        for name in symbols(archive):
            ours[name] = os.path.relpath(archive, build)
    problems = []
    for library in sorted(libraries(build)):
        for name in sorted(ours.keys() & symbols(library, "-D")):
            problems.append(f"{name} ({ours[name]}) is also in {library}")
    if not ours:
        sys.exit(f"check_symbols: nothing built in {build}")
    print("\n".join(problems) if problems else f"symbols: {len(ours)} names of ours, none of a library's")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
