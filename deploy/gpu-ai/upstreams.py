#!/usr/bin/env python3
"""Writes the nginx configuration that spreads inference over GPU nodes.

usage: upstreams.py NODES_FILE [--listen ADDRESS:PORT] > /etc/nginx/conf.d/parlance-ai.conf && nginx -t && nginx -s reload

NODES_FILE has a node a line: `transcription|triton HOST:PORT [WEIGHT]`; # begins a remark (nodes.example). Requests
go to the node with the fewest in work; one that fails twice is left alone for 10 s, and what it had not begun is asked
of the next.
"""
import argparse
import ipaddress
import re
import sys

KINDS = {"transcription": "/v1/", "triton": "/v2/"}
HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}))*$")
WEIGHT_MAX = 1000


class Wrong(Exception):
    """What is wrong with a line, in words."""


def check_host(text):
    if text.startswith("[") and text.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1])}]"
        except ValueError:
            raise Wrong(f"{text} is no IPv6 address") from None
    if not HOST.match(text):
        raise Wrong(f"{text!r} is no host")
    return text


def read_address(text):
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Wrong(f"{text!r}: host:port is expected")
    return f"{check_host(host)}:{int(port)}"


def read_nodes(lines):
    """{kind: [(address, weight)]} in the order of the lines."""
    nodes = {kind: [] for kind in KINDS}
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            if words[0] not in KINDS or len(words) not in (2, 3):
                raise Wrong(f"`{' or '.join(KINDS)} HOST:PORT [WEIGHT]` is expected")
            address = read_address(words[1])
            weight = words[2] if len(words) == 3 else "1"
            if not weight.isascii() or not weight.isdigit() or not 1 <= int(weight) <= WEIGHT_MAX:
                raise Wrong(f"a weight from 1 to {WEIGHT_MAX} is expected, not {weight!r}")
            if address in [a for a, _ in nodes[words[0]]]:
                raise Wrong(f"{address} stands there twice")
        except Wrong as wrong:
            raise Wrong(f"line {number}: {wrong}") from None
        nodes[words[0]].append((address, int(weight)))
    if not any(nodes.values()):
        raise Wrong("no node is named")
    return nodes


def upstream(kind, members):
    servers = "".join(f"    server {address} weight={weight} max_fails=2 fail_timeout=10s;\n" for address, weight in members)
    return f"upstream parlance_{kind} {{\n    least_conn;\n{servers}    keepalive 16;\n}}\n"


def location(kind):
    return f"""    location {KINDS[kind]} {{
        proxy_pass http://parlance_{kind};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header traceparent $http_traceparent;
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_connect_timeout 2s;
        proxy_read_timeout 300s;
        proxy_next_upstream error timeout http_502 http_503;
        proxy_next_upstream_tries 2;
    }}
"""


def configuration(nodes, listen):
    used = [kind for kind in KINDS if nodes[kind]]
    text = "# Written by upstreams.py; change the list of nodes, not this.\n"
    text += "\n".join(upstream(kind, nodes[kind]) for kind in used)
    text += f"\nserver {{\n    listen {listen};\n    client_max_body_size 200m;\n\n"
    text += "    location = /health {\n        return 200 \"ok\\n\";\n    }\n"
    return text + "".join(location(kind) for kind in used) + "}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("nodes")
    parser.add_argument("--listen", default="127.0.0.1:8086", help="what Parlance calls (127.0.0.1:8086)")
    options = parser.parse_args()
    try:
        listen = read_address(options.listen)
        with open(options.nodes, encoding="utf-8") as lines:
            sys.stdout.write(configuration(read_nodes(lines), listen))
    except (Wrong, OSError, UnicodeDecodeError) as problem:
        sys.exit(f"upstreams.py: {options.nodes}: {problem}")


if __name__ == "__main__":
    main()
