#!/usr/bin/env python3
"""Keeps docs/configure.md's example the one that the program prints.

usage: docs_config.py PARLANCE [--check]     (--check: says what is wrong and writes nothing)
"""
import os
import subprocess
import sys

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "configure.md")
BEGIN = "<!-- from `parlance check-config --example`, by tools/docs_config.py -->\n```yaml\n"
END = "```\n<!-- end -->\n"


def main():
    example = subprocess.run([sys.argv[1], "check-config", "--example"], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
    with open(PAGE, encoding="utf-8") as page:
        text = page.read()
    before, rest = text.split(BEGIN)
    shown, after = rest.split(END)
    if shown == example:
        return
    if "--check" in sys.argv:
        sys.exit("docs/configure.md shows other options than the program has: run make docs")
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write(before + BEGIN + example + END + after)
    print("docs: wrote docs/configure.md")


main()
