"""How long a guest waits for the pages: a cold Chromium opens a meeting's link and joins, beside a bare page."""
import json
import os
import subprocess
import sys

from frame import Bench, BenchError, Parlance, temporary_directory

HERE = os.path.dirname(os.path.abspath(__file__))

ABOUT = """
A fresh Chromium, nothing cached, opens a meeting's link on loopback, as a guest without an account. *first_paint_ms*: first contentful
paint. *can_join_ms*: the join button is there. *joined_ms*: from the click on it to the meeting page with the own picture. `floor` is the
same browser with one line of text from the same server: what the browser itself takes.
"""


def open_page(url, *mode):
    run = subprocess.run(["node", os.path.join(HERE, "web/pages.mjs"), url, *mode], capture_output=True, text=True, timeout=90, check=False)
    if run.returncode != 0:
        raise BenchError(f"pages: {run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def main():
    bench = Bench("web", title="Pages", about=ABOUT, cases=["guest"], peers=["floor"], seconds=0)
    for _, case, peer in bench.plan():
        with temporary_directory(peer) as directory, Parlance(directory) as server:
            url = f"http://localhost:{server.http_port}"
            if peer == "floor":
                figures = open_page(url + "/health")
            else:
                token = server.register("ada")
                code = server.request("POST", "/api/v1/meetings", {"title": "Bench"}, token)["code"]
                figures = open_page(f"{url}/m/{code}", "join")
            for metric, value in figures.items():
                bench.record(metric, case, "ms", peer, value, is_less_better=True)
    bench.finish()


if __name__ == "__main__":
    try:
        main()
    except BenchError as e:
        sys.exit(f"bench-web: {e}")
