"""One benchmark: its parameters, its rounds, its figures, and where they go.

Rounds are interleaved: in every round each peer is measured once, in an order that turns from round to round, so that a
machine that slows down slows everybody. A figure is the median over the rounds.
"""
import datetime
import json
import os
import platform
import signal
import statistics
import sys

from frame.parlance import BUILD, ROOT
from frame.server import BenchError, end_in_order, keep_priority

ROUNDS_MIN = 3
DOCUMENT = os.path.join(ROOT, "docs/benchmarks.md")
DOCUMENT_HEAD = """# Benchmarks

Every section is written by the command it names, whole and unedited; peers and limits come from the same run on the same
machine, interleaved. A figure is the median of the rounds. CPU is the server's own, from the kernel; work is counted from what
the clients received. *Factor* is how many times better Parlance is (below 1: worse). Loopback, no real network card.
"""


def median(values):
    return statistics.median(values) if values else None


def machine():
    """One line that says where figures come from."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = " ".join(line.split(":", 1)[1].split())
                break
    system = "Linux"
    if os.path.exists("/etc/os-release"):
        with open("/etc/os-release", encoding="utf-8") as f:
            system = dict(line.rstrip().split("=", 1) for line in f if "=" in line).get("PRETTY_NAME", system).strip('"')
    kernel = platform.release().split("-")[0]
    return f"{os.cpu_count()} x {model}, {system}, kernel {kernel}"


def figure(value):
    """Three significant digits, without an exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    text = f"{value:.3g}"
    return f"{float(text):,.0f}" if abs(float(text)) >= 100 else (text if "e" not in text else f"{value:.6f}")


def read_count(name, default):
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        sys.exit(f"{name}={text}: a whole number from 1 on is expected")
    return int(text)


class Bench:
    """name: of build/bench/NAME.json and `make bench-NAME`. title, about: Markdown for the document.
    cases, peers: all there are, peers beside "parlance" in the order of the table's columns.

    Parameters come from the environment (so `make bench-sfu ROUNDS=1 CASES=1x50`):
    ROUNDS (>= 3 to be written into the document), SECONDS of one measurement, CASES and PEERS (comma or blank apart).
    """

    def __init__(self, name, title, about, cases, peers, seconds=5):
        self.name, self.title, self.about = name, title, about
        keep_priority(os.getpid())
        self.rounds = read_count("ROUNDS", ROUNDS_MIN)
        # A shell of its own accord counts in $SECONDS, so make hands ours over by another name.
        self.seconds = read_count("BENCH_SECONDS", read_count("SECONDS", seconds))
        self.peers = self._chosen("PEERS", ["parlance"] + peers)
        self.cases = self._chosen("CASES", cases)
        self.is_whole = len(self.cases) == len(cases) and len(self.peers) == len(peers) + 1 and self.rounds >= ROUNDS_MIN
        self.values = {}  # (metric, case) -> {peer: [value of each round]}
        self.units = {}
        self.lessons = []
        self._note_neighbours()

    def _note_neighbours(self):
        """What else the machine had to do, and what was done against it: `nice -n -15 make bench`, `chrt -r 1 make bench`."""
        busy, priority = os.getloadavg()[0], os.nice(0)
        if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
            means = ", which had real-time priority, servers and clients alike"
        else:
            means = f", which ran at nice {priority}" if priority else ""
        if busy > 0.5:
            self.note(f"The machine had other work: a load average of {busy:.1f} before the run{means}.")

    @staticmethod
    def _chosen(variable, known):
        wanted = os.environ.get(variable, "").replace(",", " ").split()
        for one in wanted:
            if one not in known:
                sys.exit(f"{variable}: there is no {one}; known: {' '.join(known)}")
        return [one for one in known if not wanted or one in wanted]

    def plan(self, is_measured=lambda case, peer: True):
        """(round, case, peer) of everything to measure, in order, saying each on the terminal."""
        for number in range(self.rounds):
            for case in self.cases:
                turn = number % len(self.peers)
                for peer in self.peers[turn:] + self.peers[:turn]:
                    if not is_measured(case, peer):
                        continue
                    print(f"{self.name}: round {number + 1}/{self.rounds}  {case:<10} {peer}", flush=True)
                    yield number, case, peer

    def record(self, metric, case, unit, peer, value, is_less_better):
        """One round's figure of one peer ("parlance" or another)."""
        self.units[metric] = (unit, is_less_better)
        self.values.setdefault((metric, case), {}).setdefault(peer, []).append(value)

    def note(self, text):
        """A remark under the table, once: what failed, what was refused."""
        if text not in self.lessons:
            self.lessons.append(text)

    def median(self, metric, case, peer):
        return median(self.values.get((metric, case), {}).get(peer, []))

    # ---- what comes out ----

    def rows(self):
        """The figures as build/bench/NAME.json holds them."""
        result = []
        for metric, case in self.values:
            peers = {p: self.median(metric, case, p) for p in self.peers
                     if p != "parlance" and self.median(metric, case, p) is not None}
            result.append({"metric": metric, "case": case, "unit": self.units[metric][0],
                           "parlance": self.median(metric, case, "parlance"), "peers": peers})
        return result

    def _line(self, row, others):
        is_less_better = self.units[row["metric"]][1]
        cells = [row["metric"], row["case"], row["unit"], figure(row["parlance"])]
        for peer in others:
            value, own = row["peers"].get(peer), row["parlance"]
            text = figure(value)
            if value and own:
                text += f" ({figure(value / own if is_less_better else own / value)})"
            cells.append(text)
        return cells

    def table(self):
        others = [p for p in self.peers if p != "parlance"]
        lines = [["metric", "case", "unit", "parlance"] + [f"{p} (factor)" for p in others]]
        lines += [self._line(row, others) for row in self.rows()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        marks = ["-" * widths[i] if i < 3 else "-" * (widths[i] - 1) + ":" for i in range(len(widths))]
        lines.insert(1, marks)
        return "\n".join("| " + " | ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths)))
                         + " |" for line in lines)

    def section(self):
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        text = f"## {self.title}\n\n`make bench-{self.name}`, {today}, {self.rounds} rounds of {self.seconds} s. {machine()}.\n\n"
        text += self.about.strip() + "\n\n" + self.table() + "\n"
        if self.lessons:
            text += "\n" + "\n".join(f"- {lesson}" for lesson in self.lessons) + "\n"
        return text

    def finish(self):
        """Prints the table, writes build/bench/NAME.json, and a whole run's section into docs/benchmarks.md."""
        print("\n" + self.table() + "\n" + "".join(f"- {lesson}\n" for lesson in self.lessons))
        folder = os.path.join(BUILD, "bench")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{self.name}.json"), "w", encoding="utf-8") as f:
            json.dump({"name": self.name, "machine": machine(), "rows": self.rows()}, f, indent=1)
            f.write("\n")
        if self.is_whole:
            write_section(self.name, self.section())
        else:
            print(f"{self.name}: not the whole of it, so docs/benchmarks.md stays as it is")


def write_section(name, text, path=DOCUMENT):
    """Puts a benchmark's section between its marks, in the place it has, else at the end."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- end of bench:{name} -->"
    document = DOCUMENT_HEAD
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            document = f.read()
    block = f"{begin}\n{text.rstrip()}\n{end}\n"
    if begin in document:
        before, _, rest = document.partition(begin)
        if end not in rest:
            raise BenchError(f"{path}: {begin} has no {end}")
        after = rest.partition(end)[2].lstrip("\n")
        document = before + block + ("\n" + after if after else "")
    else:
        document = document.rstrip("\n") + "\n\n" + block
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(document)
    os.replace(path + ".new", path)


def run_main(name, main):
    """The end of each bench_NAME.py: what cannot be measured is said in one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_in_order)
    try:
        main()
    except BenchError as e:
        sys.exit(f"bench-{name}: {e}")
