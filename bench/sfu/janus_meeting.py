"""A VideoRoom of Debian's Janus, by its API over a WebSocket. Janus runs as packaged but for what names files and ports: full
ICE, a session and a handle a person, a thread a handle, or `event_loops` threads for all of them."""
import glob
import os
import socket
import time

from frame import BenchError, Server, free_port
from sfu import sdp
from sfu.websocket import WebSocket

ROOM = 1
LIBRARY = glob.glob("/usr/lib/*/janus")
JANUS_CONFIG = """general: {{
  configs_folder = "{folder}"
  plugins_folder = "{library}/plugins"
  transports_folder = "{library}/transports"
  debug_level = 4
  session_timeout = 0
  {event_loops}
}}
nat: {{ ice_ignore_list = "vmnet" }}
media: {{ ipv6 = false }}
plugins: {{ disable = "{other_plugins}" }}
transports: {{ disable = "{other_transports}" }}
"""
WEBSOCKETS_CONFIG = """general: {{ json = "compact", ws = true, ws_port = {port}, ws_ip = "127.0.0.1" }}
admin: {{ admin_ws = false }}
"""


def is_installed():
    return bool(LIBRARY) and os.access("/usr/bin/janus", os.X_OK)


def others(kind, but):
    """Every library of a kind but one, as Janus wants them listed."""
    files = glob.glob(f"{LIBRARY[0]}/{kind}/*.so")
    return ",".join(sorted(os.path.basename(f) for f in files if but not in f))


class JanusServer(Server):
    def __init__(self, name, directory, event_loops):
        folder = os.path.join(directory, "janus")
        os.makedirs(folder)
        loops = f"event_loops = {event_loops}" if event_loops else ""
        values = {"folder": folder, "library": LIBRARY[0], "event_loops": loops, "port": free_port(),
                  "other_plugins": others("plugins", "videoroom"), "other_transports": others("transports", "websockets")}
        for file, text in (("janus.jcfg", JANUS_CONFIG), ("janus.transport.websockets.jcfg", WEBSOCKETS_CONFIG),
                           ("janus.plugin.videoroom.jcfg", "general: {{ }}\n")):
            with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
                f.write(text.format(**values))
        super().__init__(name, ["/usr/bin/janus", "-F", folder], directory, values["port"])


class Handle:
    """A session with one handle at the VideoRoom: one peer connection."""

    def __init__(self, janus):
        self.janus = janus
        self.session = janus.request({"janus": "create"})["data"]["id"]
        answer = janus.request({"janus": "attach", "session_id": self.session, "plugin": "janus.plugin.videoroom"})
        self.id = answer["data"]["id"]

    def message(self, body, jsep=None):
        """The plugin's answer: (its data, its description)."""
        request = {"janus": "message", "session_id": self.session, "handle_id": self.id, "body": body}
        if jsep:
            request["jsep"] = jsep
        answer = self.janus.request(request)
        data = answer.get("plugindata", {}).get("data", {})
        if "error" in data:
            raise BenchError(f"janus: {body['request']}: {data}")
        return data, answer.get("jsep")


class JanusMeeting:
    def __init__(self, load, directory, name="janus", event_loops=0):
        self.load = load
        self.server = JanusServer(name, directory, event_loops)
        self.socket = WebSocket(self.server.port, "/", {"Sec-WebSocket-Protocol": "janus-protocol"})
        self.transactions = 0
        self.publishers = {}  # source -> id of the publisher
        room = {"request": "create", "room": ROOM, "publishers": 100, "audiocodec": "opus", "videocodec": "vp8", "bitrate": 0}
        Handle(self).message(room)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()
        self.server.__exit__(*error)

    def request(self, message):
        """Sends, and returns the answer, or the event that follows an "ack"."""
        self.transactions += 1
        name = str(self.transactions)
        self.socket.send({**message, "transaction": name})
        end = time.monotonic() + 20
        while time.monotonic() < end:
            answer = self.socket.receive()
            if answer.get("transaction") != name or answer["janus"] == "ack":
                continue
            if answer["janus"] == "error":
                raise BenchError(f"janus: {answer['error']}")
            return answer
        raise BenchError(f"janus: no answer to {message}")

    def publish(self, source, media):
        handle = Handle(self)
        joined, _ = handle.message({"request": "join", "ptype": "publisher", "room": ROOM, "display": f"p{source}"})
        self.publishers[source] = joined["id"]
        # Janus takes the DTLS client's part in answers.
        endpoint = self.load.open(is_controlling=True, is_dtls_server=True, host=HOST)
        ssrc = 0x10000000 + source * 16
        offer = sdp.offer(endpoint, ssrc, ssrc + 1)
        _, answer = handle.message({"request": "configure", "audio": True, "video": True}, {"type": "offer", "sdp": offer})
        remote = sdp.parse(answer["sdp"])
        if remote[0].one("setup") != "active":
            raise BenchError("janus: it was expected to be the DTLS client of a publisher")
        self.load.tell("connect", id=endpoint["id"], **sdp.remote_of(remote))
        self.load.tell("publish", id=endpoint["id"], source=source, audio={"ssrc": ssrc, "pt": sdp.AUDIO_PT, "mid": "0"},
                       video={"ssrc": ssrc + 1, "pt": sdp.VIDEO_PT, "mid": "1"}, **media)

    @staticmethod
    def _retried(fn):
        """A publisher is a feed only when Janus, too, has seen its handshake end, a little after the client."""
        for _ in range(20):
            try:
                return fn()
            except BenchError as e:
                problem = e
                time.sleep(0.1)
        raise problem

    def subscribe(self, sources, is_timed):
        handle = Handle(self)
        streams = [{"feed": self.publishers[source]} for source in sources]
        join = {"request": "join", "ptype": "subscriber", "room": ROOM, "streams": streams}
        offer = self._retried(lambda: handle.message(join)[1])
        media = sdp.parse(offer["sdp"])
        endpoint = self.load.open(is_timed=is_timed, host=HOST)  # who offers controls
        self.load.tell("connect", id=endpoint["id"], **sdp.remote_of(media))
        handle.message({"request": "start"}, {"type": "answer", "sdp": sdp.answer(media, endpoint)})
        self.load.tell("expect", id=endpoint["id"], sources=sources)

    def join_all(self, count, media, is_timed):
        for source in range(count):
            self.publish(source, media)
            self.load.wait_connected(source + 1)
        for source in range(count):
            self.subscribe([other for other in range(count) if other != source], is_timed(source))
        return 2 * count

    def settle(self):
        """Everybody is in."""

    def drain(self):
        self.socket.drain()


def local_address():
    """An address of this machine that is not the loopback's (Janus offers no 127.0.0.1); packets stay on lo all the same."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            return "127.0.0.1"
        return s.getsockname()[0]


HOST = local_address()
