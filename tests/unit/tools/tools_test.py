#!/usr/bin/env python3
"""Tests of tools/: the room check must find what it is there to find, and the runner must count honestly;
npm's packages must run on Debian 12."""
import contextlib
import glob
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools")

TABLE = """# Title
| `cli` | `everything` | not in the section |
## Rooms
| room | may include | what it is |
|---|---|---|
| `core` | | base |
| `net` | | network |
| `store` | | SQL |
| `edge` | `net` | edge |
| `sfu` | `sfu/wire` | media |
| `sfu/wire` | | bytes |
| `services/*` | `store` `edge` | services |
| `services/media` | `store` `sfu` | with the engine |
| `app` | `*` | topology |
| `cli` | `app` | commands |
## Other
| `net` | `store` | not in the section either |
"""


def rooms(files):
    """(return code, output) of check_rooms.py over a tree of these files below src/."""
    with tempfile.TemporaryDirectory() as root:
        with open(os.path.join(root, "ARCHITECTURE.md"), "w", encoding="utf-8") as out:
            out.write(TABLE)
        for path, text in files.items():
            full = os.path.join(root, "src", path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as out:
                out.write(text)
        run = subprocess.run([sys.executable, os.path.join(TOOLS, "check_rooms.py"), root],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return run.returncode, run.stdout


class Rooms(unittest.TestCase):
    def test_allowed(self):
        code, out = rooms({
            "core/err.c": '#include "core/err.h"\n#include <uv.h>\n',
            "edge/edge.c": '#include "core/err.h"\n#include "net/http.h"\n#include "edge/edge_internal.h"\n',
            "sfu/worker.c": '#include "sfu/wire/rtp.h"\n',
            "sfu/wire/rtp.c": '#include "core/cursor.h"\n',
            "services/user/user.c": '#include "store/store.h"\n#include "user.pb-c.h"\n#include "services/user/user.h"\n',
            "services/media/media.c": '#include "sfu/sfu.h"\n#include "store/store.h"\n',
            "app/topology.c": '#include "services/user/user.h"\n#include "sfu/sfu.h"\n',
            "main.c": '#include "cli/cli.h"\n',
        })
        self.assertEqual(code, 0, out)

    def test_forbidden(self):
        for path, line, why in [
            ("core/err.c", '#include "net/http.h"', "core may not include net"),
            ("net/http.c", '#include "store/store.h"', "net may not include store"),
            ("net/http.c", '  #  include  "store/store.h"', "net may not include store"),
            ("net/http.c", '#include "../store/store.h"', "may not include"),
            ("net/http.c", '#include "net/../store/store.h"', "net may not include store"),
            ("edge/edge.c", '#include "net/http_internal.h"', "belongs to net"),
            ("sfu/wire/rtp.c", '#include "sfu/worker.h"', "sfu/wire may not include sfu"),
            ("sfu/wire/rtp.c", "    memcpy(a, b, n);", "core/cursor.h alone"),
            ("sfu/worker.c", '#include "net/http.h"', "sfu may not include net"),
            ("services/user/user.c", '#include "services/auth/auth.h"', "may not include services/auth"),
            ("services/user/user.c", '#include "sfu/sfu.h"', "may not include sfu"),
            ("services/media/media.c", '#include "services/user/user.h"', "may not include services/user"),
            ("net/http.c", '#include "http.h"', "does not name its room"),
            ("attic/old.c", "", "not in the table"),
        ]:
            code, out = rooms({path: line + "\n"})
            self.assertEqual(code, 1, f"{path}: {line}")
            self.assertIn(why, out)


def load_runner():
    if TOOLS not in sys.path:
        sys.path.append(TOOLS)
    spec = importlib.util.spec_from_file_location("run_tests", os.path.join(TOOLS, "run_tests.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Counting(unittest.TestCase):
    def test_programs(self):
        count = load_runner().count_program
        passed = "[       OK ] a\n[       OK ] b\n[  PASSED  ] 2 test(s).\n"
        self.assertEqual(count(passed, True), (2, 0))
        self.assertEqual(count(passed + passed, True), (4, 0))
        self.assertEqual(count(passed, False), (2, 1), "all passed, and then a leak was found")
        mixed = "[  PASSED  ] 1 test(s).\n[  FAILED  ] 2 test(s), listed below:\n[  FAILED  ] x\n[  FAILED  ] y\n"
        self.assertEqual(count(mixed, False), (1, 2))
        self.assertEqual(count("[       OK ] a\n[ RUN      ] b\nSegmentation fault", False), (1, 1))
        self.assertEqual(count("replayed 4 files\n", True), (1, 0))
        ran = "..\n" + "-" * 70 + "\nRan 7 tests in 0.1s\n\n"
        self.assertEqual(count(ran + "OK\n", True), (7, 0))
        self.assertEqual(count(ran + "OK (skipped=2)\n", True), (5, 0))
        self.assertEqual(count(ran + "FAILED (failures=1, errors=2, skipped=1)\n", False), (3, 3))
        self.assertEqual(count(ran + "OK\n", False), (0, 1), "all passed, and then it died")
        self.assertEqual(count("", False), (0, 1))

    def test_node(self):
        count = load_runner().count_node
        self.assertEqual(count("ok 1 - x\n# tests 3\n# pass 2\n# fail 1\n# cancelled 0\n", 1), (2, 1))
        self.assertEqual(count("ℹ pass 5\nℹ fail 0\n", 0), (5, 0))
        self.assertEqual(count("# pass 5\n# fail 0\n# cancelled 2\n", 1), (5, 2))
        self.assertEqual(count("cannot find module", 1), (0, 1))


ONCE = """import { test } from 'node:test'; import fs from 'node:fs'; import assert from 'node:assert';
test('second', () => { const was = fs.existsSync('FLAG'); fs.writeFileSync('FLAG', ''); assert.ok(was, 'SAID'); });
test('first', () => {});
"""
NEVER = "import { test } from 'node:test'; test('never', () => { throw new Error('no'); });\n"


@unittest.skipUnless(shutil.which("node"), "there is no node")
class SecondLooks(unittest.TestCase):
    def judge(self, files):
        """((passed, failed), what is told at the end) of test files by name."""
        runner = load_runner()
        with tempfile.TemporaryDirectory() as where, contextlib.redirect_stdout(io.StringIO()) as said:
            for name, text in files.items():
                with open(os.path.join(where, name), "w", encoding="utf-8") as file:
                    file.write(text.replace("FLAG", os.path.join(where, name + ".flag")))
            runner.ROOT = where
            look = runner.SecondLook()
            counts = runner.judge_files([os.path.join(where, name) for name in files], "build", None, look)
            said.truncate(0)
            look.tell()
            return counts, said.getvalue()

    def test_what_passes_alone_is_named(self):
        counts, told = self.judge({"once.test.mjs": ONCE})
        self.assertEqual(counts, (2, 0))
        self.assertIn("failed once, passed alone: once.test.mjs", told)

    def test_what_fails_alone_has_failed(self):
        self.assertEqual(self.judge({"once.test.mjs": ONCE, "never.test.mjs": NEVER})[0], (1, 2))

    def test_what_a_sanitizer_found_is_not_looked_at_twice(self):
        found = ONCE.replace("SAID", "ERROR: AddressSanitizer: heap-use-after-free")
        self.assertEqual(self.judge({"once.test.mjs": found})[0], (1, 1))

    def test_what_hangs_is_ended(self):
        runner = load_runner()
        runner.SILENCE_S = 1
        with contextlib.redirect_stdout(io.StringIO()):
            output, code = runner.run_streaming(["sh", "-c", "echo came; sleep 600 & wait"], "/", "build")
        self.assertEqual((output, code), ("came\n", -9))

    def test_many_are_no_chance(self):
        look = load_runner().SecondLook()
        self.assertEqual([look.is_allowed("") for _ in range(7)], [True] * 6 + [False])
        self.assertFalse(load_runner().SecondLook().is_allowed("", 7))


def admits(engines, version):
    """Whether npm's range (of the forms that lock files hold) admits this Node version."""
    def admits_one(term):
        match = re.match(r"^(>=|\^|~)?\s*v?([\d.x*]+)$", term.strip())
        if not match:
            raise ValueError(f"what is {engines!r}?")
        sign, wanted = match[1], [int(n) for n in re.findall(r"\d+", match[2])]
        if not wanted:
            return True
        if sign == ">=":
            return version >= tuple(wanted)
        length = 1 if sign == "^" else 2 if sign == "~" else len(wanted)
        return version[:length] == tuple(wanted[:length]) and version >= tuple(wanted)
    return any(all(admits_one(term) for term in re.sub(r"(>=|\^|~)\s+", r"\1", alternative).split())
               for alternative in engines.split("||"))


class Packages(unittest.TestCase):
    def test_ranges(self):
        node = (18, 20, 4)
        for text in [">=18", "^16.20 || ^18.18 || >= 20.17", ">= 0.4", "*", "4.x || >=6.0.0", ">=18.0.0"]:
            self.assertTrue(admits(text, node), text)
        for text in [">= 20.16.0", "^20.19 || >=22.12", "^18.21", "16.x", ">=18.20.5"]:
            self.assertFalse(admits(text, node), text)

    def test_all_run_on_debian_12(self):
        """npm on a newer Node locks versions that Debian's refuses (engine-strict)."""
        for folder in ["web", "tests"]:
            with open(os.path.join(TOOLS, "..", folder, "package-lock.json"), encoding="utf-8") as text:
                packages = json.load(text)["packages"]
            self.assertGreater(len(packages), 5)
            for name, package in packages.items():
                wanted = package.get("engines", {}).get("node", "*")
                self.assertTrue(admits(wanted, (18, 20, 4)), f"{folder}: {name} wants Node {wanted}")


class Documents(unittest.TestCase):
    ROOT = os.path.join(TOOLS, "..")

    def read(self, name):
        with open(os.path.join(self.ROOT, name), encoding="utf-8") as text:
            return text.read()

    def test_figures_of_the_operators_page_exist(self):
        source = "".join(self.read(os.path.relpath(path, self.ROOT))
                         for path in glob.glob(os.path.join(self.ROOT, "src", "**", "*.[ch]"), recursive=True))
        names = set(re.findall(r"`((?:parlance|process)_\w+[a-z])[`{]", self.read("docs/operate.md")))
        self.assertGreater(len(names), 30)
        for name in names:
            counter = re.fullmatch(r"parlance_sfu_(\w+)_total", name)
            wanted = f'"{name}"' if f'"{name}"' in source or not counter else counter[1]
            self.assertIn(wanted, source)

    def test_links_lead_somewhere(self):
        pages = [*glob.glob(os.path.join(self.ROOT, "*.md")), *glob.glob(os.path.join(self.ROOT, "docs", "*.md"))]
        self.assertGreater(len(pages), 8)
        for page in pages:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", self.read(os.path.relpath(page, self.ROOT))):
                there = os.path.join(os.path.dirname(page), target)
                self.assertTrue(os.path.exists(there), f"{os.path.basename(page)} points to {target}")

    def test_every_room_stands_in_the_table(self):
        table = re.findall(r"^\| `([\w/*]+)` \|", self.read("ARCHITECTURE.md"), re.M)
        self.assertEqual(len(table), len(set(table)), "a room stands there twice")
        for folder in os.scandir(os.path.join(self.ROOT, "src")):
            if folder.is_dir() and folder.name != "services":
                self.assertIn(folder.name, table)


if __name__ == "__main__":
    unittest.main()
