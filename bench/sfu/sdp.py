"""As much SDP as the load client's signaling needs: reading a description's sections, and writing offers and answers as
a browser would, with one transport for all of it."""

AUDIO_PT, VIDEO_PT, RTX_PT = 111, 96, 97
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
# What Chromium offers and answers with, as far as it costs a server anything.
EXTENSIONS = {
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level": 1,
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time": 2,
    TRANSPORT_CC: 3,
    "urn:ietf:params:rtp-hdrext:sdes:mid": 4,
}


class Media:
    """An m-section: its lines, and what its attributes say (the session's where it has none of its own)."""

    def __init__(self, first, common):
        self.kind, _, self.protocol, *self.pts = first[2:].split(" ")
        self.lines = []
        self.common = common

    def all(self, name):
        """Values of every a=NAME:VALUE."""
        head = f"a={name}:"
        return [line[len(head):] for line in self.lines if line.startswith(head)]

    def one(self, name):
        found = self.all(name) or [line[len(name) + 3:] for line in self.common if line.startswith(f"a={name}:")]
        return found[0] if found else ""

    def is_active(self):
        return "a=inactive" not in self.lines

    def extensions(self):
        """uri -> id"""
        found = {}
        for value in self.all("extmap"):
            number, uri = value.split(" ")[:2]
            found[uri] = int(number.split("/")[0])
        return found

    def codecs(self):
        """pt -> upper-case name"""
        return {int(v.split(" ")[0]): v.split(" ")[1].split("/")[0].upper() for v in self.all("rtpmap")}

    def candidate(self):
        """(host, port) of the first UDP host candidate over IPv4."""
        for value in self.all("candidate"):
            words = value.split(" ")
            if words[2].lower() == "udp" and words[7] == "host" and ":" not in words[4]:
                return words[4], int(words[5])
        return None


def parse(text):
    """The m-sections of a description."""
    common, media = [], []
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            media.append(Media(line, common))
        elif line:
            (media[-1].lines if media else common).append(line)
    return media


def remote_of(media):
    """What the load client's connect needs of the other side's description."""
    where = next((m.candidate() for m in media if m.candidate()), None)
    first = next(m for m in media if m.one("ice-ufrag"))
    extensions = {}
    for m in media:
        extensions.update(m.extensions())
    rtx = [pt for m in media for pt, name in m.codecs().items() if name == "RTX"]
    return {"host": where[0], "port": where[1], "ufrag": first.one("ice-ufrag"), "pwd": first.one("ice-pwd"),
            "fingerprint": first.one("fingerprint"), "rtx": rtx,
            "extensions": {uri: number for uri, number in extensions.items() if uri in EXTENSIONS}}


def _head(mids):
    return ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE " + " ".join(mids),
            "a=extmap-allow-mixed", "a=msid-semantic: WMS *"]


def _transport(endpoint, setup):
    return ["c=IN IP4 0.0.0.0", "a=rtcp-mux", "a=rtcp-rsize", f"a=ice-ufrag:{endpoint['ufrag']}",
            f"a=ice-pwd:{endpoint['pwd']}", f"a=fingerprint:{endpoint['fingerprint']}", f"a=setup:{setup}",
            f"a=candidate:1 1 udp 2130706431 {endpoint['host']} {endpoint['port']} typ host", "a=end-of-candidates"]


def offer(endpoint, audio_ssrc, video_ssrc):
    """A publisher's offer: Opus and VP8, sendonly."""
    extmaps = [f"a=extmap:{number} {uri}" for uri, number in EXTENSIONS.items()]
    lines = _head(["0", "1"])
    lines += [f"m=audio 9 UDP/TLS/RTP/SAVPF {AUDIO_PT}", *_transport(endpoint, "actpass"), "a=mid:0", "a=sendonly",
              f"a=rtpmap:{AUDIO_PT} opus/48000/2", f"a=rtcp-fb:{AUDIO_PT} transport-cc",
              f"a=fmtp:{AUDIO_PT} minptime=10;useinbandfec=1", *extmaps, "a=msid:load audio",
              f"a=ssrc:{audio_ssrc} cname:load"]
    lines += [f"m=video 9 UDP/TLS/RTP/SAVPF {VIDEO_PT} {RTX_PT}", *_transport(endpoint, "actpass"), "a=mid:1", "a=sendonly",
              f"a=rtpmap:{VIDEO_PT} VP8/90000", f"a=rtpmap:{RTX_PT} rtx/90000", f"a=fmtp:{RTX_PT} apt={VIDEO_PT}"]
    lines += [f"a=rtcp-fb:{VIDEO_PT} {what}" for what in ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")]
    lines += [*extmaps[1:], "a=msid:load video", f"a=ssrc-group:FID {video_ssrc} {video_ssrc + 1}",
              f"a=ssrc:{video_ssrc} cname:load", f"a=ssrc:{video_ssrc + 1} cname:load"]
    return "\r\n".join(lines) + "\r\n"


def _kept(m):
    """Payload types of Opus, VP8 and VP8's RTX, and the lines that belong to them."""
    names = m.codecs()
    kept = [pt for pt, name in names.items() if name in ("OPUS", "VP8")]
    kept += [pt for pt, name in names.items() if name == "RTX" and f"a=fmtp:{pt} apt={kept[0]}" in m.lines] if kept else []
    heads = tuple(f"a={what}:{pt} " for pt in kept for what in ("rtpmap", "fmtp", "rtcp-fb"))
    return kept, [line for line in m.lines if line.startswith(heads) and "transport-cc" not in line]


def answer(offered, endpoint):
    """A subscriber's answer to sections `offered`: Opus and VP8, recvonly, the extensions above but transport-cc.

    Parlance does not offer transport-cc to subscribers yet and Janus does nothing with it; so nobody has its feedback to read.
    """
    lines = _head([m.one("mid") for m in offered])
    for m in offered:
        kept, codec_lines = _kept(m)
        lines += [f"m={m.kind} 9 {m.protocol} " + " ".join(map(str, kept)), *_transport(endpoint, "active"),
                  "a=mid:" + m.one("mid"), "a=recvonly" if m.is_active() else "a=inactive", *codec_lines]
        lines += [f"a=extmap:{number} {uri}" for uri, number in m.extensions().items()
                  if uri in EXTENSIONS and uri != TRANSPORT_CC]
    return "\r\n".join(lines) + "\r\n"
