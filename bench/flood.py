#!/usr/bin/env python3
"""Strangers: datagrams from hundreds of made-up senders (all of 127/8 is ours) to a media port, so many a second, for so long.
Checks with a password nobody has, handshakes, media and nonsense in turn. Prints {"sent", "answers"}: nobody must answer.

usage: flood.py PORT RATE SECONDS
"""
import json
import os
import random
import socket
import struct
import sys
import time

SENDERS = 900
TICK_S = 0.005


def datagrams():
    """One of each kind of thing that might make a server work or answer."""
    def check(user):
        name = user + b"\0" * (-len(user) % 4)
        attributes = struct.pack(">HH", 6, len(user)) + name + struct.pack(">HH", 8, 20) + os.urandom(20)
        return struct.pack(">HHI", 1, len(attributes), 0x2112A442) + os.urandom(12) + attributes
    hello = os.urandom(150)
    return [
        check(b"nobody:nowhere"),
        check(os.urandom(16).hex().encode()),
        bytes([22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0]) + struct.pack(">H", len(hello)) + hello,
        struct.pack(">BBHII", 0x80, 96, 1, 2, 3) + os.urandom(1100),
        struct.pack(">BBHI", 0x80, 200, 6, 4) + os.urandom(40),
        os.urandom(700),
        b"",
    ]


def senders():
    made = []
    for _ in range(SENDERS):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}", 0))
        s.setblocking(False)
        made.append(s)
    return made


def main():
    port, rate, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    made, kinds, to = senders(), datagrams(), ("127.0.0.1", port)
    sent = answers = 0
    start = time.monotonic()
    while (now := time.monotonic() - start) < seconds:
        while sent < now * rate:
            try:
                made[sent % SENDERS].sendto(kinds[sent % len(kinds)], to)
            except BlockingIOError:
                pass
            sent += 1
        time.sleep(TICK_S)
    for s in made:
        try:
            s.recv(2048)
            answers += 1
        except BlockingIOError:
            pass
    print(json.dumps({"sent": sent, "answers": answers, "seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main()
