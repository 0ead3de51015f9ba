"""How long one waits for the pages: a cold Chromium opens a meeting's link and joins, beside a bare page; and messages, of which
there are many."""
import json
import os
import subprocess

from frame import Bench, BenchError, Parlance, temporary_directory, run_main
from web.seed import PASSWORD, USER, Seed

HERE = os.path.dirname(os.path.abspath(__file__))

ABOUT = """
A fresh Chromium, nothing cached, opens a meeting's link on loopback, as a guest without an account. *first_paint_ms*: first contentful
paint. *can_join_ms*: the join button is there. *joined_ms*: from the click on it to the meeting page with the own picture. `floor` is the
same browser with one line of text from the same server: what the browser itself takes.

`chat`: somebody with 500 conversations, one of them with 50,000 messages. *first_start_ms*: the list can be used in a browser that knows
nothing yet; *cached_start_ms*: in a new page of a browser that was there before (aim: 500). *switch_ms*: from the click on a conversation to
the frame with its messages, the median of 20 (aim: 50), and the slowest of them. *longest_task_ms*: what blocked the page longest while all
50,000 messages were scrolled through, 2,000 pixels a frame (aim: 50; 0: nothing over 50). *rows_mounted*: the most list items in the page
meanwhile. *chat_js_kb*: gzipped JavaScript beside the shell (budget: 80).
"""
CONVERSATIONS, MESSAGES = 500, 50_000
UNITS = {"chat_js_kb": "kB", "rows_mounted": "rows"}


def drive(program, *words, seconds=90):
    run = subprocess.run(["node", os.path.join(HERE, "web", program), *words], capture_output=True, text=True, timeout=seconds, check=False)
    if run.returncode != 0:
        raise BenchError(f"{program}: {run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def guest(peer):
    with temporary_directory(peer) as directory, Parlance(directory) as server:
        url = f"http://localhost:{server.http_port}"
        if peer == "floor":
            return drive("pages.mjs", url + "/health")
        token = server.register("ada")
        code = server.request("POST", "/api/v1/meetings", {"title": "Bench"}, token)["code"]
        return drive("pages.mjs", f"{url}/m/{code}", "join")


def chat():
    with temporary_directory("chat") as directory:
        seed = Seed(directory, CONVERSATIONS, MESSAGES)
        with Parlance(directory) as server:
            return drive("chat.mjs", f"http://localhost:{server.http_port}", USER, PASSWORD, seed.long_id, seconds=560)


def main():
    bench = Bench("web", title="Pages", about=ABOUT, cases=["guest", "chat"], peers=["floor"], seconds=0)
    for _, case, peer in bench.plan():
        if case == "chat" and peer == "floor":
            continue
        figures = guest(peer) if case == "guest" else chat()
        for metric, value in figures.items():
            bench.record(metric, case, UNITS.get(metric, "ms"), peer, value, is_less_better=True)
    bench.finish()


if __name__ == "__main__":
    run_main("web", main)
