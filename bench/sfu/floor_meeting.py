"""The bare minimum (floor/floor.c): the same clients and packets, keys and addresses by a file, nobody joins."""
import os
import secrets
import socket

from frame import Server, free_port
from frame.parlance import BUILD
from sfu import sdp

HOST = "127.0.0.1"


class FloorMeeting:
    """server is None until everybody is known."""

    def __init__(self, load, directory):
        self.load, self.directory = load, directory
        self.port = free_port(socket.SOCK_DGRAM)
        self.members = []
        self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.server:
            self.server.__exit__(*error)

    def _member(self, group, role, **options):
        endpoint = self.load.open(host=HOST, **options)
        up, down = secrets.token_hex(28), secrets.token_hex(28)
        self.members.append(f"{group} {role} {HOST} {endpoint['port']} {up} {down}\n")
        extensions = {uri: number for uri, number in sdp.EXTENSIONS.items() if role == "publish"}
        self.load.tell("connect", id=endpoint["id"], host=HOST, port=self.port, send_key=up, recv_key=down,
                       extensions=extensions)
        return endpoint["id"]

    def publish(self, source, media):
        number = self._member(source, "publish")
        ssrc = 0x10000000 + source * 16
        self.load.tell("publish", id=number, source=source, audio={"ssrc": ssrc, "pt": sdp.AUDIO_PT, "mid": "0"},
                       video={"ssrc": ssrc + 1, "pt": sdp.VIDEO_PT, "mid": "1"}, **media)

    def subscribe(self, sources, is_timed, group=1 << 20):
        self.load.tell("expect", id=self._member(group, "subscribe", is_timed=is_timed), sources=sources)

    def join_all(self, count, media, is_timed):
        for source in range(count):
            self.publish(source, media)
            self.subscribe([other for other in range(count) if other != source], is_timed(source), source)
        return 2 * count

    def settle(self):
        """Everybody is known: the loop can begin."""
        path = os.path.join(self.directory, "members")
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(self.members)
        command = [os.path.join(BUILD, "bench/sfu/sfu_floor"), HOST, str(self.port), path]
        self.server = Server("floor", command, self.directory, is_ready=lambda: "running" in self.server_log())

    def server_log(self):
        with open(os.path.join(self.directory, "floor.log"), encoding="utf-8") as f:
            return f.read()

    def drain(self):
        pass
