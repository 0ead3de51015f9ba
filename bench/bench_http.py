"""Requests per second of server CPU: /health and an authenticated GET /api/v1/users/me, beside nginx's `return 200`."""
import json
import os
import subprocess

from frame import Bench, BenchError, Nginx, Parlance, temporary_directory, run_main

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS = 256
PATHS = {"health": "/health", "users_me": "/api/v1/users/me"}

ABOUT = f"""
`wrk` with {CONNECTIONS} keep-alive connections and a thread for each core asks as fast as it is answered, so that the servers and not
the client are waited for (a server that often sleeps pays for waking up instead); figures are whole answers received per second of
server CPU (all threads and processes, user and system). Both servers use all cores as they are configured by default
(`http.loops` and `worker_processes auto`). `users_me` sends a real access token, one account's, and goes the way of every API
request: token, authorisation, service, store, JSON. nginx answers both with `return 200` and the body of `/health`, from its
configuration, without access log. Aims: `health` at least nginx's, `users_me` at least a quarter of it.
"""

LOCATION = """location / { default_type application/json; return 200 '{"status":"ok"}'; }"""


def ask(server, case, token, seconds):
    """One run of wrk; what it counted."""
    env = dict(os.environ)
    env.pop("BENCH_TOKEN", None)
    if token:
        env["BENCH_TOKEN"] = token
    command = ["wrk", f"-t{os.cpu_count()}", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", os.path.join(HERE, "http/count.lua"),
               server.url + PATHS[case]]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds + 30, check=False)
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode != 0 or not lines:
        raise BenchError(f"wrk: {run.stdout}{run.stderr}")
    return json.loads(lines[-1])


def measure(bench, server, case, peer, token):
    ask(server, case, token, 1)  # connections, caches, page faults
    cpu_ns = server.cpu_ns()
    counted = ask(server, case, token, bench.seconds)
    cpu_ns = server.cpu_ns() - cpu_ns
    lost = counted["bad_status"] + counted["failed"]
    if lost > counted["requests"] / 1000:
        raise BenchError(f"{peer} {case}: {counted}")
    if lost:
        bench.note(f"{peer}, {case}: {lost} of {counted['requests']} requests failed")
    bench.record("requests_per_cpu_s", case, "1/s", peer, (counted["requests"] - lost) * 1e9 / cpu_ns, is_less_better=False)


def main():
    bench = Bench("http", title="HTTP", about=ABOUT, cases=list(PATHS), peers=["nginx"], seconds=5)
    for _, case, peer in bench.plan():
        with temporary_directory(peer) as directory:
            with Parlance(directory) if peer == "parlance" else Nginx(directory, LOCATION) as server:
                token = server.register("ada") if peer == "parlance" and case == "users_me" else None
                measure(bench, server, case, peer, token)
    bench.finish()


if __name__ == "__main__":
    run_main("http", main)
