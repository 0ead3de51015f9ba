"""A meeting at Parlance, by its public API alone: an account makes the meeting, everybody else joins as a guest; then the
signaling socket and its two peer connections."""
import itertools

from frame import Parlance
from sfu import sdp
from sfu.websocket import WebSocket


class ParlanceMeeting:
    """publish(), subscribe() and join() connect an endpoint; joins cost what they cost the server."""

    name = "parlance"

    def __init__(self, load, directory):
        self.load = load
        self.server = Parlance(directory, {"media.announced_addresses": "127.0.0.1"})
        self.sockets = []
        self.media_port = 0  # known once somebody publishes
        self.numbers = itertools.count(1)
        token = self.server.register("host")
        self.id = self.server.request("POST", "/api/v1/meetings", {"title": "Load", "capacity": 500}, token)["id"]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for s in self.sockets:
            s.close()
        self.server.__exit__(*error)

    def _enter(self):
        """A guest in the meeting; its socket."""
        guest = self.server.request("POST", f"/api/v1/meetings/{self.id}/join", {"name": f"Guest {next(self.numbers)}"})
        ws = WebSocket(self.server.http_port, "/ws/signaling",
                       {"Authorization": "Bearer " + guest["access_token"]})
        ws.send({"type": "join_room", "id": 1, "meeting_id": self.id})
        ws.receive_type("room_joined")
        self.sockets.append(ws)
        return ws

    def _publish(self, ws, source, media):
        endpoint = self.load.open(is_controlling=True)
        ssrc = 0x10000000 + source * 16
        ws.send({"type": "offer", "id": 2, "sdp": sdp.offer(endpoint, ssrc, ssrc + 1),
                 "tracks": [{"mid": "0", "source": "microphone"}, {"mid": "1", "source": "camera"}]})
        answer = ws.receive_type("answer")
        remote = sdp.remote_of(sdp.parse(answer["sdp"]))
        self.media_port = remote["port"]
        self.load.tell("connect", id=endpoint["id"], **remote)
        self.load.tell("publish", id=endpoint["id"], source=source, audio={"ssrc": ssrc, "pt": sdp.AUDIO_PT, "mid": "0"},
                       video={"ssrc": ssrc + 1, "pt": sdp.VIDEO_PT, "mid": "1"}, **media)

    def _subscribe(self, ws, sources, is_timed, endpoint=None):
        """Answers offers until all the sources are placed. The first answer connects."""
        while True:
            offered = ws.receive_type("offer")
            media = sdp.parse(offered["sdp"])
            if endpoint is None:
                endpoint = self.load.open(is_controlling=True, is_timed=is_timed)
                self.load.tell("connect", id=endpoint["id"], **sdp.remote_of(media))
            ws.send({"type": "answer", "revision": offered["revision"], "sdp": sdp.answer(media, endpoint)})
            if len(offered["places"]) >= 2 * len(sources):
                break
        self.load.tell("expect", id=endpoint["id"], sources=sources)

    def publish(self, source, media):
        self._publish(self._enter(), source, media)

    def subscribe(self, sources, is_timed):
        self._subscribe(self._enter(), sources, is_timed)

    def join_all(self, count, media, is_timed):
        """Everybody publishes and subscribes to everybody else; the number of connections."""
        members = []
        for source in range(count):
            ws = self._enter()
            self._publish(ws, source, media)
            members.append(ws)
            self.load.wait_connected(source + 1)
        for source, ws in enumerate(members):
            self._subscribe(ws, [other for other in range(count) if other != source], is_timed(source))
        return 2 * count

    def settle(self):
        """Everybody is in."""

    def drain(self):
        for s in self.sockets:
            s.drain()
